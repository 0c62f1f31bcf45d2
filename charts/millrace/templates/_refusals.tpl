{{/* What a running release cannot become. Helm would find out in the middle of an upgrade, and not say what to do. Only these templates
     ask the cluster, and they only refuse: what is rendered is the same with and without a cluster. */}}

{{/* The bytes of a quantity, such as 1.5Gi. */}}
{{- define "millrace.bytes" -}}
{{- $quantity := toString . -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- mulf (regexFind "^[0-9.]+(e[0-9]+)?" $quantity | float64) (get $units (regexFind "[a-zA-Z]*$" (regexReplaceAll "^[0-9.]+(e[0-9]+)?" $quantity "")) | default 1.0) | printf "%.0f" -}}
{{- end -}}

{{/* The disk of the bundled PostgreSQL: Kubernetes lets nobody change the claims of a StatefulSet. */}}
{{- define "millrace.refuseOtherDisk" -}}
{{- $wanted := .Values.postgresql.storage -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace -}}
{{- $grow := printf "%s patch persistentvolumeclaim data-postgresql-0 --type merge --patch '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}'" $kubectl $wanted -}}
{{- $orphan := printf "%s delete statefulset postgresql --cascade=orphan" $kubectl -}}
{{- $claim := (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "data-postgresql-0").spec | default dict -}}
{{- $claimed := dig "resources" "requests" "storage" "" $claim -}}
{{- $templates := dig "spec" "volumeClaimTemplates" list (lookup "apps/v1" "StatefulSet" .Release.Namespace "postgresql" | default dict) -}}
{{- $template := dict -}}
{{- if $templates }}{{ $template = (first $templates).spec }}{{ end -}}
{{- $requested := dig "resources" "requests" "storage" "" $template -}}
{{- $bytes := include "millrace.bytes" $wanted | float64 -}}
{{- if and $claimed (gt $bytes (include "millrace.bytes" $claimed | float64)) -}}
{{- fail (printf "postgresql.storage: the disk of PostgreSQL has %s, and Helm cannot make it %s. Kubernetes grows it, if its storage class has allowVolumeExpansion; the pod and the data stay:\n\n  %s\n  %s\n\nThen repeat the upgrade." $claimed $wanted $grow $orphan) -}}
{{- else if and $requested (ne (include "millrace.bytes" $requested) (include "millrace.bytes" $wanted)) -}}
{{- if and $claimed (lt $bytes (include "millrace.bytes" $claimed | float64)) -}}
{{- fail (printf "postgresql.storage: the disk of PostgreSQL has %s, and a disk cannot shrink to %s. Set postgresql.storage to %s." $claimed $wanted (ternary $requested $claimed (eq (include "millrace.bytes" $requested) (include "millrace.bytes" $claimed)))) -}}
{{- else -}}
{{- fail (printf "postgresql.storage: the StatefulSet of PostgreSQL has %s, and Kubernetes does not let Helm change it to %s. Delete it without its pod, which goes on:\n\n  %s\n\nThen repeat the upgrade, which makes it again." $requested $wanted $orphan) -}}
{{- end -}}
{{- end -}}
{{- if and $template (ne .Values.postgresql.storageClass (get $template "storageClassName" | default "")) -}}
{{- fail (printf "postgresql.storageClass: the disk of PostgreSQL has the class %q, which cannot change to %q. Set it back; to move the data, dump the databases and restore them in a new release." (get $template "storageClassName" | default "") .Values.postgresql.storageClass) -}}
{{- end -}}
{{- end -}}
