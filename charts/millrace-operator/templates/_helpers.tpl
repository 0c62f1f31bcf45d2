{{- define "millrace-operator.selector" -}}
app.kubernetes.io/name: millrace-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "millrace-operator.labels" -}}
{{ include "millrace-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace-operator.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}{{ with $image.tag }}:{{ . }}{{ end }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What cluster-wide objects are called: another release may have its own. */}}
{{- define "millrace-operator.clusterName" -}}
{{ .Release.Namespace }}-millrace-operator
{{- end -}}

{{/* Puts values over others, in place: null removes a value, as it does for Helm: (list values over) */}}
{{- define "millrace-operator.overlay" -}}
{{- $values := index . 0 -}}
{{- range $key, $over := index . 1 -}}
{{- if kindIs "invalid" $over -}}
{{- $_ := unset $values $key -}}
{{- else if and (kindIs "map" $over) (kindIs "map" (get $values $key)) -}}
{{- include "millrace-operator.overlay" (list (get $values $key) $over) -}}
{{- else -}}
{{- $_ := set $values $key $over -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* YAML with values over it: (list text values) */}}
{{- define "millrace-operator.overlaid" -}}
{{- $values := index . 0 | fromYaml -}}
{{- include "millrace-operator.overlay" (list $values (index . 1)) -}}
{{- $values | toYaml -}}
{{- end -}}

{{/* A map without its nulls, which stay in the values of a chart below another one. */}}
{{- define "millrace-operator.compact" -}}
{{- include "millrace-operator.overlaid" (list "{}" (. | default dict)) -}}
{{- end -}}

{{/* What its image is pulled with. An umbrella chart writes names, or objects with a name. */}}
{{- define "millrace-operator.pullSecrets" -}}
{{- $secrets := .Values.image.pullSecrets -}}
{{- range (.Values.global | default dict).imagePullSecrets -}}
{{- if kindIs "string" . }}{{ $secrets = append $secrets (dict "name" .) }}{{ else }}{{ $secrets = append $secrets . }}{{ end -}}
{{- end -}}
{{- with $secrets | uniq }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "millrace-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary "millrace-operator" "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The rights of the operator, by where they hold. */}}
{{- define "millrace-operator.rights" -}}
{{- $rights := tpl (.Files.Get "files/rbac.yaml") . | fromYaml -}}
{{- if .Values.deletion.allowed }}{{ $_ := set $rights "rules" (concat $rights.rules $rights.deletionRules) }}{{ end -}}
{{ toYaml $rights }}
{{- end -}}
