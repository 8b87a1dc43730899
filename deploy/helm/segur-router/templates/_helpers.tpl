{{/* Names, labels, and what is read in the values more than once. A "context" is (dict "root" $ "role" "gateway"). */}}

{{- define "segur.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 42 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 42 characters: "-pipelines" follows, and then Kubernetes' own revision hash, within 63. */}}
{{- define "segur.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 42 | trimSuffix "-" -}}
{{- else if contains (include "segur.name" .) .Release.Name -}}
{{- .Release.Name | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "segur.name" .) | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "segur.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "segur.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The labels of selectors: they never change, a StatefulSet's can't. */}}
{{- define "segur.selector" -}}
app.kubernetes.io/name: {{ include "segur.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "segur.labels" -}}
{{ include "segur.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: segur-router
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The roles that run, as a JSON list. */}}
{{- define "segur.roles" -}}
{{- $roles := list "gateway" "pipelines" "sinks" "feedback" "journal" -}}
{{- if (.Values.site.config | default dict).console -}}{{- $roles = append $roles "console" -}}{{- end -}}
{{- ternary (list "single") $roles (eq .Values.mode "single") | toJson -}}
{{- end -}}

{{/* The values of a role, as JSON. */}}
{{- define "segur.role" -}}
{{- if eq .role "single" -}}{{- toJson .root.Values.single -}}{{- else -}}{{- index .root.Values.roles .role | toJson -}}{{- end -}}
{{- end -}}

{{/* The role that listens to senders. */}}
{{- define "segur.listener" -}}
{{- ternary "single" "gateway" (eq .Values.mode "single") -}}
{{- end -}}

{{/* The role that answers browsers; "" when the site has no console. */}}
{{- define "segur.consoleRole" -}}
{{- if (.Values.site.config | default dict).console -}}{{- ternary "single" "console" (eq .Values.mode "single") -}}{{- end -}}
{{- end -}}

{{/* The host under which browsers reach the console; "" when its address is not there. */}}
{{- define "segur.consoleHost" -}}
{{- $address := dig "console" "address" "" (.Values.site.config | default dict) | default "" -}}
{{- regexReplaceAll ":[0-9]+$" (urlParse $address).host "" -}}
{{- end -}}

{{- define "segur.replicas" -}}
{{- $role := include "segur.role" . | fromJson -}}
{{- $role.replicas | default 1 | int -}}
{{- end -}}

{{/* "true" when something else than this chart decides how many pods of the role run. */}}
{{- define "segur.autoscaled" -}}
{{- if and (eq .role "pipelines") (ne .root.Values.roles.pipelines.autoscaling.engine "none") -}}true{{- end -}}
{{- end -}}

{{/* "true" when a role may have more than one pod. */}}
{{- define "segur.several" -}}
{{- if include "segur.autoscaled" . -}}
{{- if gt (int .root.Values.roles.pipelines.autoscaling.max) 1 -}}true{{- end -}}
{{- else if gt (include "segur.replicas" . | int) 1 -}}true{{- end -}}
{{- end -}}

{{- define "segur.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := "" -}}
{{- if .role -}}{{- $own = (include "segur.role" . | fromJson).image.tag -}}{{- end -}}
{{- if $own -}}{{ $image.repository }}:{{ $own }}
{{- else if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* preStop, the router's own drain, 3 s to close (CLOSING_SECONDS of the supervisor), 5 s to spare. */}}
{{- define "segur.grace" -}}
{{- $role := include "segur.role" . | fromJson -}}
{{- $drain := dig "limits" "drain_seconds" 7 (.root.Values.site.config | default dict) | float64 | ceil | int -}}
{{- add (int $role.preStopSeconds) $drain 3 5 -}}
{{- end -}}

{{- define "segur.adminPort" -}}
{{- dig "admin" "port" 9464 (.Values.site.config | default dict) | int -}}
{{- end -}}

{{/* The listeners of the site file: JSON list of {name, port}. */}}
{{- define "segur.listeners" -}}
{{- $found := list -}}
{{- $config := .Values.site.config | default dict -}}
{{- range $name, $feed := $config.feeds | default dict -}}
{{- with $feed.mllp -}}{{- $found = append $found (dict "name" (printf "mllp-%s" $name) "port" (int .port)) -}}{{- end -}}
{{- end -}}
{{- with $config.http -}}{{- $found = append $found (dict "name" "http" "port" (int .port)) -}}{{- end -}}
{{- toJson $found -}}
{{- end -}}
