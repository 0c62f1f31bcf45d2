{{/* The declared services, by name: files/services is read by the local run, too. */}}
{{- define "millrace.declarations" -}}
{{- $services := dict -}}
{{- range $path, $_ := .Files.Glob "files/services/*.yaml" -}}
{{- $declaration := $.Files.Get $path | fromYaml -}}
{{- $_ := set $services $declaration.metadata.name $declaration.spec -}}
{{- end -}}
{{- $services | toYaml -}}
{{- end -}}

{{/* The values of one service: (list . "orders") */}}
{{- define "millrace.service" -}}
{{- $root := index . 0 -}}
{{- $own := dig (index . 1) dict ($root.Values.services | default dict) -}}
{{- mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy $own) | toYaml -}}
{{- end -}}

{{/* Labels of a part: (list . "orders") */}}
{{- define "millrace.labels" -}}
{{- $root := index . 0 -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end -}}

{{- define "millrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/part-of: millrace
{{- end -}}

{{- define "millrace.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The restricted Pod Security Standard: (dict "uid" 1000) */}}
{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "millrace.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Pods spread over nodes and zones, as far as there are any: (list . "orders") */}}
{{- define "millrace.spread" -}}
{{- $selector := include "millrace.selector" . -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- $selector | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{- define "millrace.kafkaPort" -}}
{{ ternary 9093 9092 .Values.kafka.tls }}
{{- end -}}

{{- define "millrace.kafkaBootstrap" -}}
{{ .Values.kafka.name }}-kafka-bootstrap:{{ include "millrace.kafkaPort" . }}
{{- end -}}

{{/* The Secret with the username, password, host and port of the role that makes databases. */}}
{{- define "millrace.postgresqlSecret" -}}
{{- $postgresql := .Values.postgresql -}}
{{- if eq $postgresql.mode "external" -}}
{{ required "postgresql.external.existingSecret must name a Secret where postgresql.mode is external" $postgresql.external.existingSecret }}
{{- else if eq $postgresql.mode "cloudnative-pg" -}}
postgresql-superuser
{{- else -}}
{{ $postgresql.bundled.existingSecret | default "postgresql-superuser" }}
{{- end -}}
{{- end -}}

{{/* DATABASE_URL for the database that has the service's name, READ_DATABASE_URL for <service>-read: (list "orders" "orders-read") */}}
{{- define "millrace.databaseVariable" -}}
{{- $suffix := trimPrefix (index . 0) (index . 1) | trimPrefix "-" -}}
{{- if $suffix -}}
{{ $suffix | upper | replace "-" "_" }}_DATABASE_URL
{{- else -}}
DATABASE_URL
{{- end -}}
{{- end -}}

{{- define "millrace.catchesMail" -}}
{{- if not (or .Values.mail.smtpUrl .Values.mail.smtpUrlSecret) }}true{{ end -}}
{{- end -}}
