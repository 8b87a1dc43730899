{{/* Where a role goes, as the site file names it: JSON list of {host, port, what}. Loopback is left out. */}}
{{- define "segur.flows" -}}
{{- $site := .root.Values.site.config | default dict -}}
{{- $role := .role -}}
{{- $all := eq $role "single" -}}
{{- $found := list -}}
{{- $bus := $site.bus | default dict -}}
{{- if eq ($bus.type | default "sqlite") "kafka" -}}
{{- range splitList "," ($bus.servers | default "") -}}
{{- $found = append $found (dict "address" (trim .) "port" 9092 "what" "bus.servers") -}}
{{- end -}}
{{- end -}}
{{- with .root.Values.secrets.database -}}
{{- if .host -}}{{- $found = append $found (dict "address" .host "port" .port "what" "secrets.database.host") -}}{{- end -}}
{{- end -}}
{{- with ($site.database | default dict).url -}}
{{- if not (hasPrefix "sqlite" .) -}}{{- $found = append $found (dict "address" (urlParse .).host "port" 5432 "what" "database.url") -}}{{- end -}}
{{- end -}}
{{- $mails := false -}}
{{- range $name, $sink := $site.sinks | default dict -}}
{{- $place := printf "sinks.%s" $name -}}
{{- if eq ($sink.type | default "") "mssante" -}}{{- $mails = true -}}{{- end -}}
{{- if or $all (eq $role "sinks") -}}
{{- if eq ($sink.type | default "") "dmp" -}}
{{- with ($sink.proxy | default $sink.url) -}}{{- $found = append $found (dict "address" (urlParse .).host "port" (ternary 80 443 (hasPrefix "http:" .)) "what" $place) -}}{{- end -}}
{{- else if $sink.host -}}
{{- $found = append $found (dict "address" $sink.host "port" ($sink.port | default 587) "what" $place) -}}
{{- end -}}
{{- end -}}
{{- if and (or $all (eq $role "feedback")) $sink.imap -}}
{{- $found = append $found (dict "address" $sink.imap.host "port" ($sink.imap.port | default 143) "what" (printf "%s.imap" $place)) -}}
{{- end -}}
{{- end -}}
{{- if and (or $all (eq $role "journal")) ($site.audit | default dict).collector -}}
{{- with $site.audit.collector -}}{{- $found = append $found (dict "address" .host "port" (.port | default 6514) "what" "audit.collector") -}}{{- end -}}
{{- end -}}
{{- with dig "traces" "endpoint" "" $site -}}
{{- $found = append $found (dict "address" (urlParse .).host "port" (ternary 80 443 (hasPrefix "http:" .)) "what" "traces.endpoint") -}}
{{- end -}}
{{- with dig "console" "oidc" "issuer" "" $site -}}
{{- if or $all (eq $role "console") -}}{{- $found = append $found (dict "address" (urlParse .).host "port" 443 "what" "console.oidc.issuer") -}}{{- end -}}
{{- end -}}
{{- if and $mails (or $all (has $role (list "pipelines" "sinks" "feedback" "console"))) -}}
{{- $liste := dig "directory" "liste_blanche" "source" "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml" $site -}}
{{- $fhir := "" -}}
{{- with ($site.directory | default dict).fhir -}}{{- $fhir = .url | default "https://gateway.api.esante.gouv.fr/fhir/v2" -}}{{- end -}}
{{- range $what, $address := dict "liste_blanche" $liste "annuaire" (dig "directory" "annuaire" "extraction" "" $site) "fhir" $fhir -}}
{{- if hasPrefix "http" ($address | default "") -}}{{- $found = append $found (dict "address" (urlParse $address).host "port" (ternary 80 443 (hasPrefix "http:" $address)) "what" (printf "directory.%s" $what)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $flows := list -}}
{{- range $found -}}
{{- $host := regexReplaceAll ":[0-9]+$" .address "" -}}
{{- $port := regexFind ":[0-9]+$" .address | trimPrefix ":" | default (toString .port) | int -}}
{{- if not (or (eq $host "localhost") (hasPrefix "127." $host) (eq $host "")) -}}
{{- $flows = append $flows (dict "host" $host "port" $port "what" .what) -}}
{{- end -}}
{{- end -}}
{{- toJson $flows -}}
{{- end -}}

{{/* CIDRs and peers into NetworkPolicyPeers. */}}
{{- define "segur.peers" -}}
{{- range . }}
{{- if kindIs "string" . }}
- ipBlock: {cidr: {{ . | quote }}}
{{- else }}
- {{ toYaml . | indent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where a host is: its entry, or itself when it is an address. JSON list, empty when it is not known. */}}
{{- define "segur.whereIs" -}}
{{- if hasKey .root.Values.networkPolicy.peers .host -}}
{{- index .root.Values.networkPolicy.peers .host | toJson -}}
{{- else if regexMatch "^[0-9]{1,3}(\\.[0-9]{1,3}){3}$" .host -}}
{{- list (printf "%s/32" .host) | toJson -}}
{{- else -}}[]{{- end -}}
{{- end -}}
