{{/* One pod for all roles. */}}
{{- define "segur.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "segur.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "segur.container" -}}
image: {{ include "segur.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext: {{- include "segur.securityContext" . | nindent 2 }}
{{- end -}}

{{/* What every pod of the router reads and writes. */}}
{{- define "segur.mounts" -}}
- {name: site, mountPath: /etc/segur-router/site, readOnly: true}
- {name: pipelines, mountPath: /etc/segur-router/pipelines, readOnly: true}
- {name: data, mountPath: /var/lib/segur-router}
- {name: tmp, mountPath: /tmp}
{{- if include "segur.hasArchive" . }}
- {name: archive, mountPath: {{ include "segur.archiveFolder" . }}}
{{- end }}
{{- if include "segur.hasAnchor" . }}
- {name: audit, mountPath: {{ include "segur.anchorVolume" . }}}
{{- end }}
{{- range include "segur.secretsOf" . | fromJsonArray }}
- {name: {{ .volume }}, mountPath: {{ .path }}, readOnly: true}
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "segur.volumes" -}}
{{- $root := .root -}}
- name: site
  configMap: {name: {{ include "segur.fullname" $root }}-site, defaultMode: 0444}
- {{ include "segur.pipelinesVolume" (dict "root" $root "map" (printf "%s-pipelines" (include "segur.fullname" $root))) | indent 2 | trim }}
{{- if eq .role "single" }}
- name: data
  persistentVolumeClaim:
    claimName: {{ $root.Values.single.storage.existingClaim | default (printf "%s-data" (include "segur.fullname" $root)) }}
{{- else }}
- name: data
  emptyDir: {sizeLimit: 2Gi}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if include "segur.hasArchive" . }}
- name: archive
  persistentVolumeClaim: {claimName: {{ $root.Values.archive.existingClaim }}}
{{- end }}
{{- if include "segur.hasAnchor" . }}
- name: audit
  persistentVolumeClaim:
    claimName: {{ $root.Values.audit.storage.existingClaim | default (printf "%s-audit" (include "segur.fullname" $root)) }}
{{- end }}
{{- range include "segur.secretsOf" . | fromJsonArray }}
- name: {{ .volume }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
{{- end }}
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "segur.environment" -}}
- {name: SEGUR_SITE, value: /etc/segur-router/site/router.yaml}
{{- if not (has .role (list "single" "console")) }}
- name: SEGUR_SLOT
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}
{{- end }}
{{- include "segur.anchorEnvironment" . }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "segur.spread" -}}
{{- $strict := and (eq .role "gateway") .root.Values.roles.gateway.oneEachHost -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "segur.selector" . | nindent 6 }}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" $strict }}
  labelSelector:
    matchLabels: {{- include "segur.selector" . | nindent 6 }}
{{- end -}}

{{- define "segur.probes" -}}
{{- $port := include "segur.adminPort" .root -}}
startupProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 5
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "segur.preStop" -}}
{{- $seconds := (include "segur.role" . | fromJson).preStopSeconds | int -}}
{{- if $seconds -}}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version }}
    sleep: {seconds: {{ $seconds }}}
    {{- else }}
    exec: {command: [sleep, {{ $seconds | quote }}]}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* The pod template of a role. */}}
{{- define "segur.pod" -}}
{{- $root := .root -}}
{{- $role := include "segur.role" . | fromJson -}}
metadata:
  annotations:
    checksum/site: {{ include "segur.site" $root | sha256sum }}
    {{- with $role.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "segur.labels" . | nindent 4 }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "segur.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "segur.grace" . }}
  securityContext: {{- include "segur.podSecurityContext" . | nindent 4 }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $role.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $role.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if include "segur.several" . }}
  topologySpreadConstraints: {{- include "segur.spread" . | nindent 4 }}
  {{- end }}
  {{- if and (eq .role "gateway") $root.Values.upgrade.waitForPipelines }}
  initContainers:
    - name: wait-for-pipelines
      {{- include "segur.container" . | nindent 6 }}
      args:
        - wait-for
        - pipelines
        - {{ printf "%s-pipelines.%s.svc:%s" (include "segur.fullname" $root) $root.Release.Namespace (include "segur.adminPort" $root) | quote }}
      resources:
        requests: {cpu: 50m, memory: 192Mi}
        limits: {memory: 192Mi}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  {{- else if and (eq .role "single") $root.Values.simulators.enabled }}
  initContainers: {{- include "segur.simulators" . | nindent 4 }}
  {{- end }}
  containers:
    - name: router
      {{- include "segur.container" . | nindent 6 }}
      args: {{ ternary (list "run") (list "run" "--only" .role) (eq .role "single") | toJson }}
      env: {{- include "segur.environment" . | nindent 8 }}
      ports:
        - {name: admin, containerPort: {{ include "segur.adminPort" $root }}}
        {{- if eq .role (include "segur.consoleRole" $root) }}
        - {name: console, containerPort: {{ $root.Values.site.config.console.port | int }}}
        {{- end }}
        {{- if eq .role (include "segur.listener" $root) }}
        {{- range include "segur.listeners" $root | fromJsonArray }}
        - {containerPort: {{ .port }}}
        {{- end }}
        {{- end }}
      {{- include "segur.probes" . | nindent 6 }}
      {{- with include "segur.preStop" . }}
      {{- . | nindent 6 }}
      {{- end }}
      resources: {{- toYaml $role.resources | nindent 8 }}
      volumeMounts: {{- include "segur.mounts" . | nindent 8 }}
  volumes: {{- include "segur.volumes" . | nindent 4 }}
{{- end -}}
