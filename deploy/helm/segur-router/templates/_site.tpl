{{/* router.yaml: what the values say, and what only the chart knows: addresses, folders, files of Secrets. The data are in
     a folder of their own, which the router makes for its account alone: a volume's root is open to its group. */}}
{{- define "segur.site" -}}
{{- $site := deepCopy (.Values.site.config | default dict) -}}
{{- $_ := set $site "data" "/var/lib/segur-router/data" -}}
{{- $_ := set $site "pipelines" "/etc/segur-router/pipelines" -}}
{{- $_ := set $site "admin" (merge (deepCopy ($site.admin | default dict)) (dict "host" "0.0.0.0" "port" (include "segur.adminPort" . | int))) -}}
{{- range $name, $feed := $site.feeds | default dict -}}
{{- with $feed.mllp -}}{{- $_ := set $feed "mllp" (merge . (dict "host" "0.0.0.0")) -}}{{- end -}}
{{- end -}}
{{- with $site.http -}}{{- $_ := set $site "http" (merge . (dict "host" "0.0.0.0")) -}}{{- end -}}
{{- with $site.console -}}{{- $_ := set $site "console" (merge . (dict "host" "0.0.0.0" "others" (include "segur.others" $ | fromJsonArray))) -}}{{- end -}}
{{- if and .Values.secrets.encryption.existingSecret (not $site.encryption) -}}
{{- $_ := set $site "encryption" (dict "master_key" (dict "file" (printf "/etc/segur-router/secrets/encryption/%s" .Values.secrets.encryption.key))) -}}
{{- end -}}
{{- if and .Values.archive.existingClaim $site.archive -}}
{{- $_ := set $site.archive "folder" (include "segur.archiveFolder" .) -}}
{{- end -}}
{{- if eq (include "segur.anchor" .) "journal" -}}
{{- $_ := set $site "audit" (merge ($site.audit | default dict) (dict "anchor" (printf "%s/anchor/audit-head.json" (include "segur.anchorVolume" .)))) -}}
{{- end -}}
{{- with .Values.secrets.pseudonyms -}}
{{- if .existingSecret -}}
{{- $_ := set $site "secret" (dict "file" (printf "/etc/segur-router/secrets/pseudonyms/%s" .key)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.secrets.database -}}
{{- if .existingSecret -}}
{{- $_ := set $site "database" (dict "url_secret" (dict "file" (printf "/etc/segur-router/secrets/database/%s" .key))) -}}
{{- end -}}
{{- end -}}
{{- with ($site.bus | default dict).sasl -}}
{{- if and $.Values.secrets.kafka.existingSecret (not .password_env) (not .password_file) -}}
{{- $_ := set . "password_file" (printf "/etc/segur-router/secrets/kafka/%s" $.Values.secrets.kafka.passwordKey) -}}
{{- end -}}
{{- end -}}
{{- toYaml $site -}}
{{- end -}}

{{/* The administration ports that the console asks: the headless Service of each other role names its pods. JSON list. */}}
{{- define "segur.others" -}}
{{- $found := list -}}
{{- range $role := without (include "segur.roles" . | fromJsonArray) "console" "single" -}}
{{- $found = append $found (printf "%s-%s.%s.svc:%s" (include "segur.fullname" $) $role $.Release.Namespace (include "segur.adminPort" $)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Secrets that the values name: JSON list of {volume, secret, path}. Whole folders: a single file never sees a change. */}}
{{- define "segur.secrets" -}}
{{- $found := list -}}
{{- range $name := list "pseudonyms" "database" "kafka" "encryption" -}}
{{- with (index $.Values.secrets $name).existingSecret -}}
{{- $found = append $found (dict "volume" $name "secret" . "path" (printf "/etc/segur-router/secrets/%s" $name)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.secrets.extra -}}
{{- $found = append $found (dict "volume" (printf "extra-%s" .name) "secret" .existingSecret "path" (printf "/etc/segur-router/secrets/%s" .name)) -}}
{{- end -}}
{{- range .Values.secrets.certificates -}}
{{- $found = append $found (dict "volume" (printf "cert-%s" .name) "secret" .existingSecret "path" (printf "/etc/segur-router/certificates/%s" .name)) -}}
{{- end -}}
{{- if .Values.certManager.enabled -}}
{{- range .Values.certManager.certificates -}}
{{- $found = append $found (dict "volume" (printf "cert-%s" .name) "secret" (printf "%s-%s" (include "segur.fullname" $) .name) "path" (printf "/etc/segur-router/certificates/%s" .name)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Those that one role is given: what its part of the site file names. The gateway, which strangers reach, has no key
     of the DMP; the collector of the audit is the journal's. What the site file names nowhere goes to every role. */}}
{{- define "segur.secretsOf" -}}
{{- $site := .root.Values.site.config | default dict -}}
{{- $parts := omit $site "feeds" "http" "sinks" "directory" "audit" "console" -}}
{{- $own := get (dict "gateway" (list "feeds" "http") "pipelines" (list "directory") "sinks" (list "sinks" "directory") "feedback" (list "sinks" "directory") "journal" (list "audit") "console" (list "console" "directory") "single" (list "feeds" "http" "sinks" "directory" "audit" "console")) .role -}}
{{- range $own -}}{{- $_ := set $parts . (get $site .) -}}{{- end -}}
{{- if eq .role "feedback" -}}
{{- $mail := dict -}}
{{- range $name, $sink := $site.sinks -}}{{- if eq ($sink.type | default "") "mssante" -}}{{- $_ := set $mail $name $sink -}}{{- end -}}{{- end -}}
{{- $_ := set $parts "sinks" $mail -}}
{{- end -}}
{{- $seen := toJson $parts -}}
{{- $all := toJson $site -}}
{{- $found := list -}}
{{- range include "segur.secrets" .root | fromJsonArray -}}
{{- $folder := printf "%s/" .path -}}
{{- if or (contains $folder $seen) (not (contains $folder $all)) -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.archiveFolder" -}}/var/lib/segur-router-archive{{- end -}}

{{/* "true" for a role that writes contents of the archive, removes or reads them, where the values name its volume. */}}
{{- define "segur.hasArchive" -}}
{{- $root := .root -}}
{{- if and $root.Values.archive.existingClaim ($root.Values.site.config | default dict).archive (has .role (list "sinks" "feedback" "journal" "console" "single")) -}}true{{- end -}}
{{- end -}}

{{- define "segur.anchorVolume" -}}/var/lib/segur-router-audit{{- end -}}

{{/* Who keeps the anchor of the audit: "own" each its own, as the site file says or on the volume of the one pod;
     "journal" the journal's pod for all; "none" nobody. */}}
{{- define "segur.anchor" -}}
{{- if or (eq .Values.mode "single") (dig "audit" "anchor" "" (.Values.site.config | default dict)) -}}own
{{- else -}}{{ ternary "journal" "none" .Values.audit.storage.enabled }}
{{- end -}}
{{- end -}}

{{/* "true" for the pod with the volume of the anchor. */}}
{{- define "segur.hasAnchor" -}}
{{- if and (eq .role "journal") (eq (include "segur.anchor" .root) "journal") -}}true{{- end -}}
{{- end -}}

{{/* The other pods keep none: a folder that is lost with its pod remembers nothing. */}}
{{- define "segur.anchorEnvironment" -}}
{{- if not (or (eq (include "segur.anchor" .root) "own") (include "segur.hasAnchor" .)) }}
- {name: SEGUR_AUDIT_ANCHOR, value: elsewhere}
{{- end }}
{{- end -}}

{{/* The volume of the pipelines; "map" is the ConfigMap that holds the chart's own. A folder has no subfolder in a
     ConfigMap, so that samples get their path here. */}}
{{- define "segur.pipelinesVolume" -}}
name: pipelines
projected:
  defaultMode: 0444
  sources:
    {{- with .root.Values.pipelines }}
    {{- if or .files .samples }}
    - configMap:
        name: {{ $.map }}
        items:
          {{- range $name, $_ := .files }}
          - {key: {{ printf "pipeline.%s" $name | quote }}, path: {{ $name | quote }}}
          {{- end }}
          {{- range $name, $_ := .samples }}
          - {key: {{ printf "sample.%s" $name | quote }}, path: {{ printf "samples/%s" $name | quote }}}
          {{- end }}
    {{- end }}
    {{- range .existingConfigMaps }}
    - configMap:
        name: {{ .name }}
        {{- with .items }}
        items: {{- toYaml . | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- end }}
{{- end -}}

{{/* The data of that ConfigMap. */}}
{{- define "segur.pipelinesData" -}}
{{- range $name, $text := .Values.pipelines.files }}
{{ printf "pipeline.%s" $name | quote }}: {{ $text | quote }}
{{- end }}
{{- range $name, $text := .Values.pipelines.samples }}
{{ printf "sample.%s" $name | quote }}: {{ $text | quote }}
{{- end }}
{{- end -}}
