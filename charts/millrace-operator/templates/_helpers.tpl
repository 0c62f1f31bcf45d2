{{- define "millrace-operator.selector" -}}
app.kubernetes.io/name: millrace-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "millrace-operator.labels" -}}
{{ include "millrace-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
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

{{/* A security context without its nulls, which stay in the values of a chart below another one. */}}
{{- define "millrace-operator.securityContext" -}}
{{- $values := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $values $key $value }}{{ end -}}
{{- end -}}
{{- $values | toYaml -}}
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
