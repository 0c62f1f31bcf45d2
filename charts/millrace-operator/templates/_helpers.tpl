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

{{/* What it may do in a namespace that it works in, and nothing more. */}}
{{- define "operator.rules" -}}
- apiGroups: [millrace.dev]
  resources: [eventservices, streamqueries, projectionrebuilds, deadletterreplays]
  # those that finish are deleted after their ttlSecondsAfterFinished
  verbs: [get, list, watch, update, patch, delete]
- apiGroups: [millrace.dev]
  resources: [eventservices/status, streamqueries/status, projectionrebuilds/status, deadletterreplays/status]
  verbs: [get, update, patch]
- apiGroups: [millrace.dev]
  resources: [eventservices/finalizers, streamqueries/finalizers, projectionrebuilds/finalizers, deadletterreplays/finalizers]
  verbs: [update]
- apiGroups: [kafka.strimzi.io]
  resources: [kafkatopics, kafkausers]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [kafka.strimzi.io]
  resources: [kafkas]
  verbs: [get, list, watch]
- apiGroups: [""]
  # by name: it never lists Secrets
  resources: [secrets]
  verbs: [get, create, update, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, update, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
