{{/* Simulators as sidecars: they listen on the loopback of the pod only, and start one after the other, because the
     first one makes the certificates that all share. */}}
{{- define "segur.simulators" -}}
{{- $context := . -}}
{{- range $name, $args := dict "1-dmp" (list "dmp") "2-mssante" (list "mssante") "3-endpoint" (list "endpoint" "--port" "2675") }}
- name: simulator-{{ $name }}
  {{- include "segur.container" $context | nindent 2 }}
  restartPolicy: Always
  args: {{ concat (list "simulate") $args (ternary (list) (list "--folder" "/var/lib/segur-router/simulators") (eq $name "3-endpoint")) | toJson }}
  startupProbe:
    exec:
      command:
        - python
        - -c
        - {{ printf "import socket; socket.create_connection(('127.0.0.1', %s), 2)" (index (dict "1-dmp" "9443" "2-mssante" "9587" "3-endpoint" "2675") $name) | quote }}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 60
  resources:
    requests: {cpu: 50m, memory: 256Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: data, mountPath: /var/lib/segur-router}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end -}}
