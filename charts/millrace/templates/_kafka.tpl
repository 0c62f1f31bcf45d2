{{/* Not empty where the Kafka is not Strimzi's. */}}
{{- define "millrace.kafkaIsExternal" -}}
{{- if eq .Values.kafka.mode "external" }}true{{ end -}}
{{- end -}}

{{/* The port of Strimzi's listener. */}}
{{- define "millrace.kafkaPort" -}}
{{ ternary 9093 9092 .Values.kafka.tls }}
{{- end -}}

{{- define "millrace.kafkaBootstrap" -}}
{{- if include "millrace.kafkaIsExternal" . -}}
{{ required "kafka.external.bootstrapServers must name brokers, such as broker-1.example.com:9096, where kafka.mode is external" .Values.kafka.external.bootstrapServers }}
{{- else -}}
{{ .Values.kafka.name }}-kafka-bootstrap:{{ include "millrace.kafkaPort" . }}
{{- end -}}
{{- end -}}

{{/* Kafka, as an EventService has it. The brokers of a Kafka that the chart does not create say themselves how many copies there are. */}}
{{- define "millrace.kafkaOfService" -}}
{{- if include "millrace.kafkaIsExternal" . -}}
{{- include "millrace.refuseExternalKafka" . -}}
{{- with .Values.kafka.external -}}
{{- if .replicas }}
replicas: {{ .replicas }}
{{- end }}
external:
  bootstrapServers: {{ include "millrace.kafkaBootstrap" $ | quote }}
  {{- if ne .sasl.mechanism "none" }}
  sasl: { mechanism: {{ .sasl.mechanism }}, secretRef: { name: {{ .sasl.existingSecret | quote }} } }
  {{- end }}
  {{- if .tls.enabled }}
  tls: {{ with .tls.caSecret }}{ caSecretRef: { name: {{ . | quote }} } }{{ else }}{}{{ end }}
  {{- end }}
  {{- if .acls }}
  acls: true
  {{- end }}
{{- end -}}
{{- else -}}
cluster: {{ .Values.kafka.name | quote }}
{{- if .Values.kafka.create }}
replicas: {{ include "millrace.kafkaCopies" . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* What cannot work, or would send a password for all to read. */}}
{{- define "millrace.refuseExternalKafka" -}}
{{- with .Values.kafka.external -}}
{{- $hasUsers := ne .sasl.mechanism "none" -}}
{{- if and $hasUsers (not .sasl.existingSecret) -}}
{{- fail (printf "kafka.external.sasl.existingSecret must name a Secret with username and password, for %s. Without users, set kafka.external.sasl.mechanism to none." .sasl.mechanism) -}}
{{- end -}}
{{- if and (not $hasUsers) .sasl.existingSecret -}}
{{- fail "kafka.external.sasl.existingSecret needs kafka.external.sasl.mechanism, such as SCRAM-SHA-512: with none, clients do not say who they are" -}}
{{- end -}}
{{- if and .acls (not $hasUsers) -}}
{{- fail "kafka.external.acls needs kafka.external.sasl.mechanism, such as SCRAM-SHA-512: the rights are those of users" -}}
{{- end -}}
{{- if and (eq .sasl.mechanism "PLAIN") (not .tls.enabled) -}}
{{- fail "kafka.external.sasl.mechanism: PLAIN needs kafka.external.tls.enabled, or everybody on the way could read the password" -}}
{{- end -}}
{{- if and .tls.caSecret (not .tls.enabled) -}}
{{- fail "kafka.external.tls.caSecret needs kafka.external.tls.enabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where services that talk to Kafka may connect to, as JSON. In through any broker: who leads a partition is only known afterwards. */}}
{{- define "millrace.kafkaPeers" -}}
{{- if include "millrace.kafkaIsExternal" . -}}
{{ include "millrace.externalPeers" (list "kafka.external" .Values.kafka.external) }}
{{- else -}}
{{- $labels := dict "strimzi.io/cluster" .Values.kafka.name "strimzi.io/name" (printf "%s-kafka" .Values.kafka.name) -}}
{{ list (dict "podSelector" (dict "matchLabels" $labels)) | toJson }}
{{- end -}}
{{- end -}}

{{/* Their ports, as JSON. */}}
{{- define "millrace.kafkaPorts" -}}
{{- $ports := list -}}
{{- if not (include "millrace.kafkaIsExternal" .) -}}
{{- $ports = append $ports (include "millrace.kafkaPort" . | int) -}}
{{- else if .Values.kafka.external.ports -}}
{{- $ports = .Values.kafka.external.ports -}}
{{- else -}}
{{- range splitList "," (include "millrace.kafkaBootstrap" .) -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* Copies of each partition: up to three, as there are brokers. */}}
{{- define "millrace.kafkaCopies" -}}
{{ min 3 .Values.kafka.replicas }}
{{- end -}}

{{/* The spec of the KafkaNodePool. */}}
{{- define "millrace.kafkaNodePool" -}}
{{- include "millrace.overlaid" (list (include "millrace.kafkaNodePoolDefaults" .) .Values.kafka.nodePoolSpec) -}}
{{- end -}}

{{- define "millrace.kafkaNodePoolDefaults" -}}
{{- $kafka := .Values.kafka -}}
replicas: {{ $kafka.replicas }}
roles: [controller, broker]
jvmOptions: { "-Xms": {{ $kafka.heap }}, "-Xmx": {{ $kafka.heap }} }
resources: {{- include "millrace.resources" (list "kafka.resources" $kafka.resources) | nindent 2 }}
{{- with include "millrace.kafkaPod" . }}
template:
  pod: {{- . | nindent 4 }}
{{- end }}
storage:
  {{- if $kafka.storage }}
  type: jbod
  volumes:
    - id: 0
      type: persistent-claim
      size: {{ $kafka.storage }}
      {{- with $kafka.storageClass }}
      class: {{ . | quote }}
      {{- end }}
      deleteClaim: false
      kraftMetadata: shared
  {{- else }}
  type: ephemeral
  {{- end }}
{{- end -}}

{{- define "millrace.kafkaPod" -}}
{{- $kafka := .Values.kafka -}}
{{- include "millrace.foreignPullSecrets" . }}
{{- if gt (int $kafka.replicas) 1 }}
# no two brokers on one node and in one zone, as far as there are others
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: { strimzi.io/cluster: {{ $kafka.name | quote }}, strimzi.io/name: {{ $kafka.name }}-kafka }
  {{- end }}
{{- end }}
{{- end -}}

{{/* The spec of the Kafka. */}}
{{- define "millrace.kafka" -}}
{{- include "millrace.overlaid" (list (include "millrace.kafkaDefaults" .) .Values.kafka.spec) -}}
{{- end -}}

{{- define "millrace.kafkaDefaults" -}}
{{- $kafka := .Values.kafka -}}
{{- $copies := include "millrace.kafkaCopies" . | int -}}
kafka:
  {{- with $kafka.version }}
  version: {{ . }}
  {{- end }}
  {{- with include "millrace.ipFamilies" . | trim }}
  template:
    bootstrapService: {{- . | nindent 6 }}
    brokersService: {{- . | nindent 6 }}
  {{- end }}
  {{- with $kafka.rackTopologyKey }}
  rack: { topologyKey: {{ . }} }
  {{- end }}
  listeners:
    - name: {{ ternary "tls" "plain" $kafka.tls }}
      port: {{ include "millrace.kafkaPort" . }}
      type: internal
      tls: {{ $kafka.tls }}
      authentication: { type: scram-sha-512 }
      {{- if .Values.networkPolicy.enabled }}
      networkPolicyPeers:
        - podSelector: { matchLabels: { app.kubernetes.io/part-of: millrace } }
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ .Values.networkPolicy.operatorNamespace | quote }} } }
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ .Values.networkPolicy.monitoringNamespace | quote }} } }
      {{- end }}
  authorization: { type: simple }
  config:
    {{- .Files.Get "files/kafka.yaml" | fromYaml | toYaml | nindent 4 }}
    default.replication.factor: {{ $copies }}
    offsets.topic.replication.factor: {{ $copies }}
    transaction.state.log.replication.factor: {{ $copies }}
    # with three disks, an acknowledged event is on two
    min.insync.replicas: {{ max 1 (sub $copies 1) }}
    transaction.state.log.min.isr: {{ max 1 (sub $copies 1) }}
entityOperator:
  {{- with include "millrace.foreignPullSecrets" . }}
  template:
    pod: {{- . | nindent 6 }}
  {{- end }}
  topicOperator:
    resources: {{- include "millrace.resources" (list "kafka.entityOperatorResources" $kafka.entityOperatorResources) | nindent 6 }}
    # ten minutes for the start on a node that is busy with everything else
    startupProbe: { periodSeconds: 10, failureThreshold: 60 }
    livenessProbe: { initialDelaySeconds: 60, failureThreshold: 6 }
  userOperator:
    resources: {{- include "millrace.resources" (list "kafka.entityOperatorResources" $kafka.entityOperatorResources) | nindent 6 }}
    # it has no startup probe
    livenessProbe: { initialDelaySeconds: 60, failureThreshold: 6 }
{{- end -}}
