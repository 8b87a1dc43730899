"""The simulated annuaire behaves as the national server is described (mssante §5.1), and misbehaves when told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from router.simulators.annuaire import AnnuaireConfig, AnnuaireSimulator, Box, Person

MANY = tuple(Person(f"1000000{number:04}", boxes=(Box(f"dr{number}@medecin.mssante.fr"),)) for number in range(120))
Story = Callable[[AnnuaireSimulator, httpx.AsyncClient], Awaitable[None]]


def play(story: Story, **settings: Any) -> None:
    async def run() -> None:
        key = {"ESANTE-API-KEY": "k"}
        async with (
            AnnuaireSimulator(AnnuaireConfig(key="k", **settings)) as annuaire,
            httpx.AsyncClient(headers=key) as client,
        ):
            await story(annuaire, client)

    asyncio.run(run())


def test_a_search_comes_in_pages_of_fifty() -> None:
    """`next` leads from one to the other, `total` counts all."""

    async def story(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
        url, sizes = f"{annuaire.url}/Practitioner", []
        while url:
            bundle = (await client.get(url)).json()
            sizes.append(len(bundle["entry"]))
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        assert (sizes, bundle["total"]) == ([50, 50, 20], 120)

    play(story, people=MANY)


def test_too_many_calls_and_a_wrong_key_are_refused() -> None:
    """Seventeen calls a second, then 429 with Retry-After; 401 without the key."""

    async def story(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
        answers = [await client.get(f"{annuaire.url}/Organization?identifier=1") for _ in range(18)]
        assert [one.status_code for one in answers][:17] == [200] * 17
        assert (answers[17].status_code, answers[17].headers["Retry-After"]) == (429, "1")
        assert (await client.get(f"{annuaire.url}/Organization", headers={"ESANTE-API-KEY": ""})).status_code == 401

    play(story)


def test_a_parameter_that_is_not_deployed_is_an_error() -> None:
    """`mailbox-mss-type`, as the national server answered in 2026."""

    async def story(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"{annuaire.url}/Practitioner?mailbox-mss-type=PER")
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["diagnostics"] == "Parameter mailbox-mss-type not found"

    play(story)


def test_a_red_listed_mailbox_is_not_shown() -> None:
    """The person is, without it."""
    person = Person("10000000001", boxes=(Box("a@b.fr", red_listed=True), Box("c@b.fr")))

    async def story(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
        bundle = (await client.get(f"{annuaire.url}/Practitioner?identifier=10000000001")).json()
        assert [one["value"] for one in bundle["entry"][0]["resource"]["telecom"]] == ["c@b.fr"]

    play(story, people=(person,))


def test_another_process_scripts_it_by_its_control_port() -> None:
    """The next answers, by status; what was asked."""

    async def story(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
        control = f"http://127.0.0.1:{annuaire.control_port}"
        await client.post(f"{control}/fail", json={"status": 503, "count": 1})
        assert (await client.get(f"{annuaire.url}/Practitioner?identifier=1")).status_code == 503
        assert (await client.get(f"{annuaire.url}/Practitioner?identifier=1")).status_code == 200
        assert (await client.get(f"{control}/asked")).json() == ["Practitioner?identifier=1"] * 2

    play(story)
