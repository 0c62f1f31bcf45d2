{{/* What the chart asks the cluster, and nothing else does: which changes of a running release to refuse, because Helm would find out in
     the middle of an upgrade, and not say what to do; what the notes say; and how many pods somebody else wants. Without a cluster there
     is no answer: nothing is refused, and the number of pods is left out. */}}

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
{{- $bytes := include "millrace.amount" $wanted | float64 -}}
{{- if and $claimed (gt $bytes (include "millrace.amount" $claimed | float64)) -}}
{{- fail (printf "postgresql.storage: the disk of PostgreSQL has %s, and Helm cannot make it %s. Kubernetes grows it, if its storage class has allowVolumeExpansion; the pod and the data stay:\n\n  %s\n  %s\n\nThen repeat the upgrade." $claimed $wanted $grow $orphan) -}}
{{- else if and $requested (ne (include "millrace.amount" $requested) (include "millrace.amount" $wanted)) -}}
{{- if and $claimed (lt $bytes (include "millrace.amount" $claimed | float64)) -}}
{{- fail (printf "postgresql.storage: the disk of PostgreSQL has %s, and a disk cannot shrink to %s. Set postgresql.storage to %s." $claimed $wanted (ternary $requested $claimed (eq (include "millrace.amount" $requested) (include "millrace.amount" $claimed)))) -}}
{{- else -}}
{{- fail (printf "postgresql.storage: the StatefulSet of PostgreSQL has %s, and Kubernetes does not let Helm change it to %s. Delete it without its pod, which goes on:\n\n  %s\n\nThen repeat the upgrade, which makes it again." $requested $wanted $orphan) -}}
{{- end -}}
{{- end -}}
{{- if and $template (ne .Values.postgresql.storageClass (get $template "storageClassName" | default "")) -}}
{{- fail (printf "postgresql.storageClass: the disk of PostgreSQL has the class %q, which cannot change to %q. Set it back; to move the data, dump the databases and restore them in a new release." (get $template "storageClassName" | default "") .Values.postgresql.storageClass) -}}
{{- end -}}
{{- end -}}

{{/* Another Kafka than the services have. Their EventServices refuse it, too, when Helm has rolled the pods to a Kafka without their topics. */}}
{{- define "millrace.refuseOtherKafka" -}}
{{- if .Capabilities.APIVersions.Has "millrace.dev/v1beta1" -}}
{{- $wanted := ternary "" .Values.kafka.name (eq .Values.kafka.mode "external") -}}
{{- range $name, $spec := include "millrace.declarations" . | fromYaml -}}
{{- $kafka := dig "spec" "kafka" dict (lookup "millrace.dev/v1beta1" "EventService" $.Release.Namespace $name | default dict) -}}
{{- $present := $kafka.cluster | default "" -}}
{{- if and $kafka (include "millrace.usesKafka" $spec) (ne $present $wanted) -}}
{{- $back := "kafka.mode to external" -}}
{{- if $present }}{{ $back = printf "kafka.mode to strimzi and kafka.name to %s" $present }}{{ end -}}
{{- fail (printf "kafka.%s: the topics of the service %s are in %s, and cannot move to %s. Set %s. A platform with another Kafka is a new one, in another namespace." (ternary "name" "mode" (and (ne $present "") (ne $wanted ""))) $name (include "millrace.kafkaInWords" $present) (include "millrace.kafkaInWords" $wanted) $back) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A Kafka by its name, which only Strimzi's has. */}}
{{- define "millrace.kafkaInWords" -}}
{{ if . }}the Kafka {{ . }} of Strimzi{{ else }}an external Kafka{{ end }}
{{- end -}}

{{/* The number of brokers, which is also that of the controllers. One that is there stays as it is, even with an even number. */}}
{{- define "millrace.refuseOtherBrokers" -}}
{{- $wanted := int .Values.kafka.replicas -}}
{{- $brokers := 0 -}}
{{- if .Capabilities.APIVersions.Has "kafka.strimzi.io/v1" -}}
{{- $brokers = dig "spec" "replicas" 0 (lookup "kafka.strimzi.io/v1" "KafkaNodePool" .Release.Namespace "dual-role" | default dict) | int -}}
{{- end -}}
{{- if and $brokers (ne $brokers $wanted) -}}
{{- fail (printf "kafka.replicas: this Kafka was made with %d, and cannot change to %d: its topics keep the number of copies that they were made with, and the quorum of its controllers cannot change. Set kafka.replicas to %d. A platform with another number is a new one, in another namespace." $brokers $wanted $brokers) -}}
{{- else if and (not $brokers) (eq 0 (mod $wanted 2)) -}}
{{- fail (printf "kafka.replicas: %d is even. The brokers are Kafka's controllers, too, of which more than half must run: %d brokers bear no more losses than %d. Set kafka.replicas to an odd number, such as %d." $wanted $wanted (sub $wanted 1) (add $wanted 1)) -}}
{{- end -}}
{{- end -}}

{{/* What a Kafka that an earlier release has left has otherwise than this release wants, as a JSON array: Helm takes it over at an
     install, and changes nothing of it. */}}
{{- define "millrace.keptKafka" -}}
{{- $found := list -}}
{{- if and .Release.IsInstall .Values.kafka.create (not (include "millrace.kafkaIsExternal" .)) (.Capabilities.APIVersions.Has "kafka.strimzi.io/v1") -}}
{{- range $kind, $wanted := dict "KafkaNodePool" (include "millrace.kafkaNodePool" .) "Kafka" (include "millrace.kafka" .) -}}
{{- with lookup "kafka.strimzi.io/v1" $kind $.Release.Namespace (ternary $.Values.kafka.name "dual-role" (eq $kind "Kafka")) -}}
{{- $found = concat $found (include "millrace.differences" (list $kind ($wanted | fromYaml) .spec) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Where a live value is not what is wanted, as a JSON array: (list path wanted live). What a map has besides is left out. */}}
{{- define "millrace.differences" -}}
{{- $path := index . 0 -}}{{- $wanted := index . 1 -}}{{- $live := index . 2 -}}
{{- $found := list -}}
{{- if and (kindIs "map" $wanted) (kindIs "map" $live) -}}
{{- range $key, $value := $wanted -}}
{{- $found = concat $found (include "millrace.differences" (list (printf "%s.%s" $path $key) $value (get $live $key)) | fromJsonArray) -}}
{{- end -}}
{{- else if ne (toJson $wanted) (toJson $live) -}}
{{- $found = append $found (printf "%s is %s, not %s" $path (toJson $live) (toJson $wanted)) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* The Deployment of a service that there is, or an empty object, as JSON. (list . "orders") */}}
{{- define "millrace.presentDeployment" -}}
{{- lookup "apps/v1" "Deployment" (index . 0).Release.Namespace (index . 1) | default dict | toJson -}}
{{- end -}}

{{/* Two platforms in one namespace: their services, topics and databases have the names of the declarations. */}}
{{- define "millrace.refuseOtherRelease" -}}
{{- $gateway := lookup "v1" "Service" .Release.Namespace "gateway" | default dict -}}
{{- $other := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $gateway -}}
{{- if and $other (ne $other .Release.Name) -}}
{{- fail (printf "The namespace %s has the release %s of this chart, and the services of both would have the same names. Install this one in a namespace of its own, or uninstall %s first." .Release.Namespace $other $other) -}}
{{- end -}}
{{- end -}}
