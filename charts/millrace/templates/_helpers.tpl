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
{{- $own := get $root.Values.services (index . 1) -}}
{{- $values := deepCopy $root.Values.defaults -}}
{{- include "millrace.overlay" (list $values ($own | default dict)) -}}
{{- $values | toYaml -}}
{{- end -}}

{{/* Puts values over others, in place: null removes a value, as it does for Helm, where sprig's mergeOverwrite keeps it: (list values over) */}}
{{- define "millrace.overlay" -}}
{{- $values := index . 0 -}}
{{- range $key, $over := index . 1 -}}
{{- if kindIs "invalid" $over -}}
{{- $_ := unset $values $key -}}
{{- else if and (kindIs "map" $over) (kindIs "map" (get $values $key)) -}}
{{- include "millrace.overlay" (list (get $values $key) $over) -}}
{{- else -}}
{{- $_ := set $values $key $over -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* YAML with values over it: (list text values) */}}
{{- define "millrace.overlaid" -}}
{{- $values := index . 0 | fromYaml -}}
{{- include "millrace.overlay" (list $values (index . 1 | default dict)) -}}
{{- $values | toYaml -}}
{{- end -}}

{{/* A map without its nulls, which stay in the values of a chart below another one. */}}
{{- define "millrace.compact" -}}
{{- $values := dict -}}
{{- include "millrace.overlay" (list $values (. | default dict)) -}}
{{- $values | toYaml -}}
{{- end -}}

{{/* Labels of a part: (list . "orders") */}}
{{- define "millrace.labels" -}}
{{- $root := index . 0 -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods, and what selects them. None changes with a release, or one that changes nothing else would roll the pods: Strimzi,
     too, copies the labels of its resources to its pods, and rolls these when one changes. */}}
{{- define "millrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/part-of: millrace
{{- end -}}

{{/* The labels and annotations of pods, of values with podLabels and podAnnotations, and of others over them: (list . "orders" values...) */}}
{{- define "millrace.podMetadata" -}}
{{- $pod := dict "podLabels" dict "podAnnotations" dict -}}
{{- range slice . 2 -}}
{{- include "millrace.overlay" (list $pod (pick . "podLabels" "podAnnotations" | deepCopy)) -}}
{{- end -}}
labels: {{- include "millrace.overlaid" (list ($pod.podLabels | default dict | toYaml) (include "millrace.selector" . | fromYaml)) | nindent 2 }}
{{- with $pod.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "millrace.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}{{ with $image.tag }}:{{ . }}{{ end }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The addresses of a Service. */}}
{{- define "millrace.ipFamilies" -}}
{{- with .Values.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.ipFamilies }}
ipFamilies: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "millrace.podSecurity" -}}
{{ include "millrace.compact" .Values.podSecurityContext }}
{{- end -}}

{{- define "millrace.containerSecurity" -}}
{{ include "millrace.compact" .Values.containerSecurityContext }}
{{- end -}}

{{/* What every image of an umbrella chart is pulled with, as JSON. Charts write names, or objects with a name. */}}
{{- define "millrace.globalPullSecrets" -}}
{{- $secrets := list -}}
{{- range (.Values.global | default dict).imagePullSecrets -}}
{{- if kindIs "string" . }}{{ $secrets = append $secrets (dict "name" .) }}{{ else }}{{ $secrets = append $secrets . }}{{ end -}}
{{- end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{/* What the image of the platform is pulled with. */}}
{{- define "millrace.pullSecrets" -}}
{{- with concat .Values.image.pullSecrets (include "millrace.globalPullSecrets" . | fromJsonArray) | uniq }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the images of others are pulled with. */}}
{{- define "millrace.foreignPullSecrets" -}}
{{- with include "millrace.globalPullSecrets" . | fromJsonArray }}
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

{{/* The number that a quantity is, such as 1610612736 for 1.5Gi and 0.1 for 100m. */}}
{{- define "millrace.amount" -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $number := regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" (toString .) -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number (toString .))) -}}
{{- end -}}

{{/* CPU and memory of a container. Kubernetes takes no requests above limits: (list "postgresql.resources" .Values.postgresql.resources) */}}
{{- define "millrace.resources" -}}
{{- $name := index . 0 -}}{{- $resources := index . 1 -}}
{{- range $key, $limit := $resources.limits -}}
{{- $request := get ($resources.requests | default dict) $key -}}
{{- if and $request $limit (gt (include "millrace.amount" $request | float64) (include "millrace.amount" $limit | float64)) -}}
{{- fail (printf "%s: the request of %s is %v, more than the limit, %v" $name $key $request $limit) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
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

{{/* PostgreSQL, as an EventService has it. */}}
{{- define "millrace.postgresql" -}}
{{- $postgresql := .Values.postgresql -}}
{{- $isBundled := eq $postgresql.mode "bundled" -}}
superuserSecretRef: { name: {{ include "millrace.postgresqlSecret" . | quote }} }
{{- if and $isBundled (not $postgresql.bundled.existingSecret) }}
newSuperuser: { host: postgresql, port: 5432, username: postgres }
{{- end }}
{{- with $postgresql.databaseName | default (ternary "{namespace}_{name}" "" (eq $postgresql.mode "external")) }}
databaseName: {{ . | quote }}
{{- end }}
{{- with $postgresql.tls }}
{{- if .mode }}
{{- if $isBundled }}{{ fail "postgresql.tls.mode: the bundled PostgreSQL has no certificate; its connections stay in the cluster" }}{{ end }}
tls:
  mode: {{ .mode }}
  {{- with .caSecret }}
  caSecretRef: { name: {{ . | quote }} }
  {{- end }}
  {{- with .clientSecret }}
  clientCertSecretRef: { name: {{ . | quote }} }
  {{- end }}
{{- else if or .caSecret .clientSecret }}{{ fail (printf "postgresql.tls.%s needs postgresql.tls.mode, such as verify-full" (ternary "caSecret" "clientSecret" (not (empty .caSecret)))) }}
{{- end }}
{{- end }}
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
