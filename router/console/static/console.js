// Keys, live numbers, and what is shown with a reason hidden again. Every page works without this file.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const policy = self.trustedTypes ? trustedTypes.createPolicy("segur-router", { createHTML: (text) => text }) : null;
  const parse = (text) => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
  const said = one("#live-said");
  const lettersAct = document.documentElement.dataset.keys !== "off";

  one("[data-focus]")?.focus();

  // ---------------------------------------------------------------------------------------------- keys
  const targets = new Map(all("kbd[data-key]").map((kbd) => [kbd.dataset.key, kbd.dataset.target]));
  const places = new Map(all("a[data-go]").map((link) => [link.dataset.go, link]));
  let going = 0;

  const typing = (element) =>
    element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio]), textarea, select");

  function row(step) {
    const rows = all("[data-row]");
    if (!rows.length) return;
    const here = rows.findIndex((each) => each.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, here + step))];
    next.querySelector("a, button, input")?.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function follow(target) {
    const found = one(target);
    if (!found) return false;
    if (found.matches("details")) found.open = !found.open;
    if (found.matches("a")) found.click();
    else (found.matches("details") ? found.querySelector("summary") : found).focus(); // no single key starts an act
    if (found.select) found.select();
    return true;
  }

  function help() {
    const keys = one("#keys");
    if (!keys) return;
    keys.open = !keys.open;
    if (keys.open) { keys.querySelector("summary").focus(); keys.scrollIntoView({ block: "end" }); }
  }

  function escape() {
    const open = document.activeElement.closest("details[open]") || one(".who[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
    else document.activeElement.blur();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat && event.key.length > 1) return;
    if (event.key === "Escape") return escape();
    if (!lettersAct || typing(event.target)) return;
    if (Date.now() < going && places.has(event.key)) { event.preventDefault(); return places.get(event.key).click(); }
    going = 0;
    let done = true;
    if (event.key === "g") going = Date.now() + 1500;
    else if (event.key === "?") help();
    else if (event.key === "j") row(1);
    else if (event.key === "k") row(-1);
    else if (event.key === "p" && one("[data-part]")) pause();
    else if (event.key === "r" && one("[data-part]")) refresh(true);
    else if (event.key === "y") navigator.clipboard?.writeText(location.href);
    else done = targets.has(event.key) && follow(targets.get(event.key));
    if (done) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const copied = event.target.closest("[data-copy]");
    if (copied) navigator.clipboard?.writeText(copied.dataset.copy);
  });

  // The list that led here, with its page: no address holds an identity.
  if (one("[data-list]")) sessionStorage.setItem("list", location.pathname + location.search);
  const back = one("#back");
  if (back && sessionStorage.getItem("list")) back.href = sessionStorage.getItem("list");

  // ---------------------------------------------------------------------------------------------- live
  let paused = false, waiting = false, heard = Date.now(), announced = 0, busy = false, source = null;

  function say(text) {
    if (said && text && text !== said.textContent && Date.now() - announced > 10_000) {
      announced = Date.now();
      said.textContent = text;
    }
  }

  function pause() {
    paused = !paused;
    announced = 0;
    say(paused ? document.body.dataset.paused : document.body.dataset.resumed);
    if (!paused) refresh(true);
  }

  // Replace the parts of the page that changed; what has the focus or the pointer stays until it is left.
  async function refresh(now = false) {
    if (busy || (paused && !now)) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
      if (answer.redirected) return location.reload();
      if (!answer.ok) return;
      const fresh = parse(await answer.text());
      waiting = false;
      for (const part of all("[data-part]")) {
        const other = fresh.getElementById(part.id);
        if (!other || other.outerHTML === part.outerHTML) continue;
        if (!now && (part.contains(document.activeElement) || part.matches(":hover"))) { waiting = true; continue; }
        part.replaceWith(document.adoptNode(other));
        say(other.dataset.said);
      }
    } catch { /* the next beat tries again */ } finally { busy = false; }
  }

  function news(kind) {
    heard = Date.now();
    if (kind === "end") location.reload();
    else if (!document.hidden) refresh();
    else waiting = true;
  }

  function listen(channel) {
    source = new EventSource(document.body.dataset.live);
    for (const kind of ["state", "end"])
      source.addEventListener(kind, () => { news(kind); channel?.postMessage(kind); });
  }

  if (document.body.dataset.live && one("[data-part]")) {
    const channel = self.BroadcastChannel ? new BroadcastChannel("segur-live") : null;
    channel?.addEventListener("message", (event) => news(event.data));
    // One stream for all tabs of a browser: HTTP/1.1 allows six connections.
    if (navigator.locks && channel) navigator.locks.request("segur-live", () => { listen(channel); return new Promise(() => {}); });
    else listen(null);
    setInterval(() => {
      if (Date.now() - heard > 40_000 || waiting) { heard = Date.now(); if (!document.hidden) refresh(); }
    }, 15_000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
    addEventListener("pagehide", () => source?.close());
  }

  // ------------------------------------------------------------------------------- what a reason opened
  const hide = one("form[data-hide]");
  if (hide) {
    let touched = Date.now();
    for (const sign of ["pointermove", "keydown", "scroll"])
      addEventListener(sign, () => { touched = Date.now(); }, { passive: true });
    const until = Number(hide.dataset.hide) * 1000;
    const idle = Number(document.body.dataset.idle) * 1000;
    setInterval(() => {
      if (Date.now() > until) location.reload();
      else if (Date.now() - touched > idle) hide.submit();
      const left = one("#minutes-left");
      if (left) left.textContent = Math.max(0, Math.ceil((until - Date.now()) / 60_000));
    }, 5_000);
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }
})();
