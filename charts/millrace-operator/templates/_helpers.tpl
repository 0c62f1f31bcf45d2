{{- define "operator.selector" -}}
app.kubernetes.io/name: millrace-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* What cluster-wide objects are called: another release may have its own. */}}
{{- define "operator.clusterName" -}}
{{ .Release.Namespace }}-millrace-operator
{{- end -}}

{{/* The rules of its roles. */}}
{{- define "operator.rights" -}}
{{ .Files.Get "files/rbac.yaml" }}
{{- end -}}
