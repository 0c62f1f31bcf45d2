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
resources: {{- toYaml $kafka.resources | nindent 2 }}
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
      class: {{ . }}
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
      matchLabels: { strimzi.io/cluster: {{ $kafka.name }}, strimzi.io/name: {{ $kafka.name }}-kafka }
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
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ .Values.networkPolicy.operatorNamespace }} } }
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ .Values.networkPolicy.monitoringNamespace }} } }
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
    resources: {{- toYaml $kafka.entityOperatorResources | nindent 6 }}
    # ten minutes for the start on a node that is busy with everything else
    startupProbe: { periodSeconds: 10, failureThreshold: 60 }
    livenessProbe: { initialDelaySeconds: 60, failureThreshold: 6 }
  userOperator:
    resources: {{- toYaml $kafka.entityOperatorResources | nindent 6 }}
    # it has no startup probe
    livenessProbe: { initialDelaySeconds: 60, failureThreshold: 6 }
{{- end -}}
