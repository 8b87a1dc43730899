{{/* Sentences about values that the schema can't refuse. Each part gives a JSON list. */}}
{{- define "segur.problems" -}}
{{- $all := include "segur.problems.moved" . | fromJsonArray -}}
{{- if not $all -}}
{{- range list "image" "mode" "site" "hosts" "console" "archive" "files" "paths" "environment" "scaling" "network" "cluster" "upgrade" -}}
{{- $all = concat $all (include (printf "segur.problems.%s" .) $ | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "segur.problems.moved" -}}
{{- $found := list -}}
{{- range $path, $sentence := .Files.Get "files/moved-keys.yaml" | fromYaml -}}
{{- $parts := splitList "." $path -}}
{{- $inside := $.Values -}}
{{- range initial $parts -}}{{- $inside = index $inside . -}}{{- end -}}
{{- if hasKey $inside (last $parts) -}}{{- $found = append $found (printf "%s: %s" $path $sentence) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.image" -}}
{{- $found := list -}}
{{- range $place, $tag := dict "image.tag" .Values.image.tag "roles.gateway.image.tag" .Values.roles.gateway.image.tag "roles.pipelines.image.tag" .Values.roles.pipelines.image.tag "roles.sinks.image.tag" .Values.roles.sinks.image.tag "roles.feedback.image.tag" .Values.roles.feedback.image.tag "roles.journal.image.tag" .Values.roles.journal.image.tag "roles.console.image.tag" .Values.roles.console.image.tag "single.image.tag" .Values.single.image.tag -}}
{{- if eq $tag "latest" -}}{{- $found = append $found (printf "%s: `latest` is not a version: pods of one role could run two; write one, or image.digest" $place) -}}{{- end -}}
{{- end -}}
{{- if regexMatch ":[^/]+$" .Values.image.repository -}}{{- $found = append $found "image.repository: holds a tag; write it in image.tag" -}}{{- end -}}
{{- if gt (len .Values.fullnameOverride) 42 -}}{{- $found = append $found "fullnameOverride: at most 42 characters, names of pods follow" -}}{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.mode" -}}
{{- $found := list -}}
{{- $site := .Values.site.config | default dict -}}
{{- $bus := dig "bus" "type" "sqlite" $site -}}
{{- if not $site -}}{{- $found = append $found "site.config: is required; write your router.yaml there" -}}
{{- else if eq .Values.mode "roles" -}}
{{- if ne $bus "kafka" -}}{{- $found = append $found "site.config.bus: pods share no file; mode roles needs `type: kafka` (or write mode: single)" -}}{{- end -}}
{{- if not (or .Values.secrets.database.existingSecret (hasKey ($site.database | default dict) "url") (hasKey ($site.database | default dict) "url_secret")) -}}{{- $found = append $found "secrets.database.existingSecret: is required in mode roles, pods share no file: the ledger is on PostgreSQL" -}}{{- end -}}
{{- if hasPrefix "sqlite" (dig "database" "url" "" $site) -}}{{- $found = append $found "site.config.database.url: pods share no file; mode roles needs PostgreSQL" -}}{{- end -}}
{{- if not (or .Values.secrets.pseudonyms.existingSecret $site.secret) -}}{{- $found = append $found "secrets.pseudonyms.existingSecret: is required in mode roles, else each pod makes its own key and hashes one patient differently" -}}{{- end -}}
{{- if $site.roles -}}{{- $found = append $found "site.config.roles: each pod runs one worker; write roles.<role>.replicas" -}}{{- end -}}
{{- if .Values.simulators.enabled -}}{{- $found = append $found "simulators.enabled: they are sidecars of the one pod; write mode: single" -}}{{- end -}}
{{- else -}}
{{- if and (eq $bus "kafka") (not (or .Values.secrets.pseudonyms.existingSecret $site.secret)) -}}{{- $found = append $found "secrets.pseudonyms.existingSecret: is required with Kafka: another installation on this cluster would hash one patient differently" -}}{{- end -}}
{{- end -}}
{{- if and .Values.secrets.pseudonyms.existingSecret $site.secret -}}{{- $found = append $found "site.config.secret: secrets.pseudonyms says it already; write one of them" -}}{{- end -}}
{{- if and .Values.secrets.database.existingSecret $site.database -}}{{- $found = append $found "site.config.database: secrets.database says it already; write one of them" -}}{{- end -}}
{{- if and .Values.simulators.enabled (eq ($site.environment | default "") "production") -}}{{- $found = append $found "simulators.enabled: never in production (site.config.environment)" -}}{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.site" -}}
{{- $found := list -}}
{{- $site := .Values.site.config | default dict -}}
{{- range $key, $why := dict "data" "the chart mounts the folder of the data" "pipelines" "the chart mounts the folder of the pipelines" -}}
{{- if hasKey $site $key -}}{{- $found = append $found (printf "site.config.%s: %s; leave it out" $key $why) -}}{{- end -}}
{{- end -}}
{{- if eq (include "segur.adminPort" . | int) 0 -}}{{- $found = append $found "site.config.admin.port: 0 turns off the port that the probes ask" -}}{{- end -}}
{{- range $name, $feed := $site.feeds | default dict -}}
{{- with $feed.folder -}}
{{- if and (eq $.Values.mode "roles") (gt (int $.Values.roles.gateway.replicas) 1) -}}{{- $found = append $found (printf "site.config.feeds.%s.folder: two gateways would take one file twice; write roles.gateway.replicas: 1" $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $ports := dict (include "segur.adminPort" .) "admin" -}}
{{- $listeners := include "segur.listeners" . | fromJsonArray -}}
{{- with $site.console -}}{{- $listeners = append $listeners (dict "name" "console" "port" (int .port)) -}}{{- end -}}
{{- range $listeners -}}
{{- if eq (int .port) 0 -}}{{- $found = append $found (printf "site.config: %s has port 0, which a Service can't name; write one" .name) -}}
{{- else if lt (int .port) 1024 -}}{{- $found = append $found (printf "site.config: %s has port %d; without rights of root only 1024 and above can be listened on" .name (int .port)) -}}{{- end -}}
{{- $twin := get $ports (toString (int .port)) -}}
{{- if $twin -}}{{- $found = append $found (printf "site.config: %s and %s have the same port" $twin .name) -}}{{- end -}}
{{- $_ := set $ports (toString (int .port)) .name -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.hosts" -}}
{{- $found := list -}}
{{- $site := .Values.site.config | default dict -}}
{{- $places := dict "admin.host" (dig "admin" "host" "" $site) "http.host" (dig "http" "host" "" $site) "console.host" (dig "console" "host" "" $site) -}}
{{- range $name, $feed := $site.feeds | default dict -}}{{- $_ := set $places (printf "feeds.%s.mllp.host" $name) (dig "mllp" "host" "" $feed) -}}{{- end -}}
{{- range $place, $host := $places -}}
{{- if or (eq $host "localhost") (hasPrefix "127." $host) (eq $host "::1") -}}{{- $found = append $found (printf "site.config.%s: nobody outside the pod reaches %s; leave it out, the chart listens on every address" $place $host) -}}{{- end -}}
{{- end -}}
{{- if eq .Values.mode "roles" -}}
{{- range $role := list "pipelines" "sinks" "feedback" -}}
{{- range include "segur.loopback" (dict "root" $ "role" $role) | fromJsonArray -}}
{{- $found = append $found (printf "site.config.%s: is on the loopback of the pod, where nothing listens" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $found) -}}
{{- end -}}

{{- define "segur.problems.console" -}}
{{- $found := list -}}
{{- $site := .Values.site.config | default dict -}}
{{- if $site.console -}}
{{- if not $site.console.tls -}}{{- $found = append $found "site.config.console.tls: is required, also behind an Ingress: passwords would cross the cluster in clear" -}}{{- end -}}
{{- range $way := list "ingress" "route" -}}
{{- if and (index $.Values.console $way).enabled (not (hasPrefix "https:" ($site.console.address | default ""))) -}}{{- $found = append $found (printf "site.config.console.address: is required with console.%s, as https://…: its host is the one that is answered" $way) -}}{{- end -}}
{{- end -}}
{{- else if or .Values.console.ingress.enabled .Values.console.route.enabled -}}{{- $found = append $found "console: the site has none; write site.config.console" -}}
{{- end -}}
{{- if and .Values.console.ingress.enabled (not .Values.console.ingress.tlsSecret) -}}{{- $found = append $found "console.ingress.tlsSecret: is required, browsers come by https only" -}}{{- end -}}
{{- if and .Values.console.route.enabled (not .Values.console.route.parentRefs) -}}{{- $found = append $found "console.route.parentRefs: name the Gateway, e.g. [{name: interne, namespace: gateways}]" -}}{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.archive" -}}
{{- $found := list -}}
{{- $site := .Values.site.config | default dict -}}
{{- $folder := dig "archive" "folder" "" $site | default "" -}}
{{- $claim := .Values.archive.existingClaim -}}
{{- if and $claim (not $site.archive) -}}{{- $found = append $found "archive.existingClaim: nothing is written there without site.config.archive" -}}{{- end -}}
{{- if and $claim $folder -}}{{- $found = append $found "site.config.archive.folder: archive.existingClaim says it already; write one of them" -}}{{- end -}}
{{- if and $site.archive (eq .Values.mode "roles") (not $claim) -}}
{{- $mounted := false -}}
{{- range .Values.extraVolumeMounts -}}{{- if and $folder (not .readOnly) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $folder)) -}}{{- $mounted = true -}}{{- end -}}{{- end -}}
{{- if not $mounted -}}{{- $found = append $found "archive.existingClaim: is required with site.config.archive in mode roles: contents would be lost with the pod" -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.loopback" -}}
{{- $site := .root.Values.site.config | default dict -}}
{{- $found := list -}}
{{- if eq .role "sinks" -}}
{{- range $name, $sink := $site.sinks | default dict -}}
{{- $host := $sink.host | default "" -}}
{{- if $sink.url -}}{{- $host = (urlParse $sink.url).host -}}{{- end -}}
{{- if or (hasPrefix "localhost" $host) (hasPrefix "127." $host) -}}{{- $found = append $found (printf "sinks.%s" $name) -}}{{- end -}}
{{- end -}}
{{- else if eq .role "pipelines" -}}
{{- range splitList "," (dig "bus" "servers" "" $site) -}}
{{- if or (hasPrefix "localhost" (trim .)) (hasPrefix "127." (trim .)) -}}{{- $found = append $found "bus.servers" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.files" -}}
{{- $found := list -}}
{{- with .Values.pipelines -}}
{{- if not (or .files .existingConfigMaps) -}}{{- $found = append $found "pipelines.files: holds no pipeline; write --set-file 'pipelines.files.biologie\\.yaml=pipelines/biologie.yaml', or existingConfigMaps" -}}{{- end -}}
{{- range $name, $_ := .files -}}
{{- if not (regexMatch "^[A-Za-z0-9][-._A-Za-z0-9]*\\.yaml$" $name) -}}{{- $found = append $found (printf "pipelines.files.%s: a file name of letters, digits, `-`, `_` and `.`, that ends with .yaml" $name) -}}{{- end -}}
{{- end -}}
{{- range $name, $_ := .samples -}}
{{- if not (regexMatch "^[A-Za-z0-9][-._A-Za-z0-9]*$" $name) -}}{{- $found = append $found (printf "pipelines.samples.%s: a file name of letters, digits, `-`, `_` and `.`; the folder samples/ is added" $name) -}}{{- end -}}
{{- end -}}
{{- $size := add (len (toJson .files)) (len (toJson .samples)) -}}
{{- if gt (int $size) 900000 -}}{{- $found = append $found (printf "pipelines: files and samples are %d bytes, and a ConfigMap holds 1 MiB; use existingConfigMaps" (int $size)) -}}{{- end -}}
{{- end -}}
{{- if and .Values.certManager.enabled (not .Values.certManager.issuerRef.name) -}}{{- $found = append $found "certManager.issuerRef: name the issuer, e.g. {name: hospital-ca, kind: ClusterIssuer}" -}}{{- end -}}
{{- $volumes := list -}}
{{- range include "segur.secrets" . | fromJsonArray -}}
{{- if has .path $volumes -}}{{- $found = append $found (printf "secrets: two of them want the folder %s" .path) -}}{{- end -}}
{{- $volumes = append $volumes .path -}}
{{- if not .secret -}}{{- $found = append $found (printf "secrets: the folder %s has no existingSecret" .path) -}}{{- end -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if or .subPath .subPathExpr -}}{{- $found = append $found (printf "extraVolumeMounts.%s: subPath never sees a renewed file; mount the whole folder" .name) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Every file that the site file names is in a folder that is mounted. */}}
{{- define "segur.problems.paths" -}}
{{- $folders := list -}}
{{- range include "segur.secrets" . | fromJsonArray -}}{{- $folders = append $folders .path -}}{{- end -}}
{{- range .Values.extraVolumeMounts -}}{{- $folders = append $folders (.mountPath | default "" | trimSuffix "/") -}}{{- end -}}
{{- if eq .Values.mode "single" -}}{{- $folders = append $folders "/var/lib/segur-router" -}}{{- end -}}
{{- $found := list -}}
{{- range include "segur.walk" (dict "node" (.Values.site.config | default dict) "place" "site.config" "keys" (list "certificate" "key" "ca" "server_ca" "client_ca" "crl" "file" "password_file" "cda_schema" "value_sets" "tables")) | fromJsonArray -}}
{{- $path := .value -}}
{{- if not (hasPrefix "/" $path) -}}{{- $found = append $found (printf "%s: is relative; write the whole path, e.g. /etc/segur-router/certificates/<name>/tls.crt" .place) -}}
{{- else -}}
{{- $mounted := false -}}
{{- range $folders -}}{{- if or (eq $path .) (hasPrefix (printf "%s/" .) $path) -}}{{- $mounted = true -}}{{- end -}}{{- end -}}
{{- if not $mounted -}}{{- $found = append $found (printf "%s: no volume is mounted at %s; add it to secrets.certificates, secrets.extra or extraVolumes" .place (dir $path)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Texts under some keys, wherever they stand: JSON list of {place, value}. */}}
{{- define "segur.walk" -}}
{{- $found := list -}}
{{- $context := . -}}
{{- if kindIs "map" .node -}}
{{- range $key, $value := .node -}}
{{- $place := printf "%s.%s" $context.place $key -}}
{{- if and (kindIs "string" $value) (has $key $context.keys) -}}
{{- $found = append $found (dict "place" $place "value" $value) -}}
{{- else -}}
{{- $found = concat $found (include "segur.walk" (dict "node" $value "place" $place "keys" $context.keys) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Every environment variable that the site file names is given to the pods. */}}
{{- define "segur.problems.environment" -}}
{{- $given := list -}}
{{- $found := list -}}
{{- range .Values.extraEnv -}}
{{- $given = append $given .name -}}
{{- if and (hasKey . "value") (regexMatch "(?i)password|secret|token" (.name | default "")) -}}{{- $found = append $found (printf "extraEnv.%s: a secret in values is no secret; use valueFrom.secretKeyRef" .name) -}}{{- end -}}
{{- end -}}
{{- range include "segur.walk" (dict "node" (.Values.site.config | default dict) "place" "site.config" "keys" (list "env" "password_env")) | fromJsonArray -}}
{{- if not (has .value $given) -}}{{- $found = append $found (printf "%s: no pod has the variable %s; add it to extraEnv" .place .value) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.scaling" -}}
{{- $found := list -}}
{{- $scale := .Values.roles.pipelines.autoscaling -}}
{{- $partitions := dig "limits" "partitions" 8 (.Values.site.config | default dict) | int -}}
{{- if eq .Values.mode "roles" -}}
{{- if eq $scale.engine "none" -}}
{{- if gt (int .Values.roles.pipelines.replicas) $partitions -}}{{- $found = append $found (printf "roles.pipelines.replicas: %d pods for %d partitions (site.config.limits.partitions): the others would read nothing" (int .Values.roles.pipelines.replicas) $partitions) -}}{{- end -}}
{{- else -}}
{{- if gt (int $scale.max) $partitions -}}{{- $found = append $found (printf "roles.pipelines.autoscaling.max: %d pods for %d partitions (site.config.limits.partitions): the others would read nothing" (int $scale.max) $partitions) -}}{{- end -}}
{{- if gt (int $scale.min) (int $scale.max) -}}{{- $found = append $found "roles.pipelines.autoscaling: min is more than max" -}}{{- end -}}
{{- if and (eq $scale.engine "keda") (gt (int $scale.fallbackReplicas) (int $scale.max)) -}}{{- $found = append $found "roles.pipelines.autoscaling: fallbackReplicas is more than max" -}}{{- end -}}
{{- if and (eq $scale.engine "cpu") (not (dig "requests" "cpu" "" .Values.roles.pipelines.resources)) -}}{{- $found = append $found "roles.pipelines.resources.requests.cpu: is required with autoscaling.engine: cpu, a share of nothing can't be measured" -}}{{- end -}}
{{- if and (eq $scale.engine "keda") (dig "bus" "sasl" "" (.Values.site.config | default dict)) (not .Values.secrets.kafka.existingSecret) -}}{{- $found = append $found "secrets.kafka.existingSecret: is required with KEDA when the brokers ask for a password" -}}{{- end -}}
{{- end -}}
{{- if gt (int .Values.roles.sinks.replicas) $partitions -}}{{- $found = append $found (printf "roles.sinks.replicas: %d pods for %d partitions (site.config.limits.partitions): the others would read nothing" (int .Values.roles.sinks.replicas) $partitions) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "segur.problems.network" -}}
{{- $found := list -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $policy.enabled -}}
{{- if not $policy.allowUnlisted -}}
{{- range $role := include "segur.roles" . | fromJsonArray -}}
{{- range include "segur.flows" (dict "root" $ "role" $role) | fromJsonArray -}}
{{- if not (include "segur.whereIs" (dict "root" $ "host" .host) | fromJsonArray) -}}
{{- $found = append $found (printf "networkPolicy.peers: says not where %s is (%s); add %s: [<CIDR>], or allowUnlisted: true and it stays unreachable" .host .what .host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.database.existingSecret (not .Values.secrets.database.host) -}}{{- $found = append $found "secrets.database.host: is required with networkPolicy: the URL is in a Secret, which the chart doesn't read" -}}{{- end -}}
{{- end -}}
{{- $listed := concat $policy.senders $policy.browsers $policy.scrapers $policy.dns -}}
{{- range $_, $where := $policy.peers -}}{{- $listed = concat $listed $where -}}{{- end -}}
{{- range $listed -}}
{{- if kindIs "string" . -}}
{{- if not (regexMatch "^[0-9a-fA-F:.]+/[0-9]{1,3}$" .) -}}{{- $found = append $found (printf "networkPolicy: %q is no CIDR; policies of Kubernetes know no host names; write e.g. 198.51.100.7/32" .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $found) -}}
{{- end -}}

{{- define "segur.problems.cluster" -}}
{{- $found := list -}}
{{- if and .Values.simulators.enabled (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}{{- $found = append $found "simulators.enabled: sidecars need Kubernetes 1.29 or later" -}}{{- end -}}
{{- range $role := include "segur.roles" . | fromJsonArray -}}
{{- $resources := (include "segur.role" (dict "root" $ "role" $role) | fromJson).resources -}}
{{- if and (dig "limits" "cpu" "" $resources) (has $role (list "gateway" "single")) -}}{{- $found = append $found (printf "%s.resources.limits.cpu: a gateway that is throttled answers late; leave it out" (ternary "single" (printf "roles.%s" $role) (eq $role "single"))) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The number of partitions never changes in place: an upgrade that would change it is refused. `lookup` finds nothing
     in `helm template` and under GitOps; then the pods' own check of the topics says it. */}}
{{- define "segur.problems.upgrade" -}}
{{- $found := list -}}
{{- if and .Values.upgrade.migrate (ne .Values.mode "roles") -}}{{- $found = append $found "upgrade.migrate: needs mode roles; in mode single the pod that starts migrates its own volume" -}}{{- end -}}
{{- $old := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-site" (include "segur.fullname" .)) -}}
{{- with dig "data" "router.yaml" "" ($old | default dict) -}}
{{- $before := dig "limits" "partitions" 8 (fromYaml .) | int -}}
{{- $now := dig "limits" "partitions" 8 ($.Values.site.config | default dict) | int -}}
{{- if ne $before $now -}}{{- $found = append $found (printf "site.config.limits.partitions: was %d, and never changes in place: see `segur-router topics migrate`" $before) -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
