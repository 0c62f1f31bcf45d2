{{/* Values of a service that there is not, such as one that is misspelt. */}}
{{- define "millrace.refuseUnknownServices" -}}
{{- $declared := include "millrace.declarations" . | fromYaml -}}
{{- range $name, $_ := .Values.services -}}
{{- if not (hasKey $declared $name) -}}
{{- fail (printf "services.%s: no service has this name. The declared ones are %s." $name ($declared | keys | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings of a service, as its ConfigMap has them: (list . "orders" spec values) */}}
{{- define "millrace.config" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $spec := index . 2 -}}{{- $values := index . 3 -}}
{{- $declarations := include "millrace.declarations" $root | fromYaml -}}
{{- $config := dict "PORT" $spec.port "SHUTDOWN_DELAY_MS" (mul $values.shutdownDelaySeconds 1000) "SHUTDOWN_GRACE_MS" (mul $values.shutdownGraceSeconds 1000) -}}
{{- range $spec.calls -}}
{{- $port := (get $declarations . | default dict).port | required (printf "%s calls %s, which is not declared" $name .) -}}
{{- $_ := set $config (printf "%s_URL" (. | upper | replace "-" "_")) (printf "http://%s:%v" . $port) -}}
{{- end -}}
{{- if include "millrace.usesKafka" $spec -}}
{{- $_ := set $config "KAFKA_BROKERS" (include "millrace.kafkaBootstrap" $root) -}}
{{- $_ := set $config "KAFKA_COMPRESSION" $root.Values.kafka.compression -}}
{{- if include "millrace.kafkaIsExternal" $root -}}
{{- with $root.Values.kafka.external -}}
{{- if ne .sasl.mechanism "none" }}{{ $_ := set $config "KAFKA_SASL_MECHANISM" .sasl.mechanism }}{{ end -}}
{{- if .tls.enabled }}{{ $_ := set $config "KAFKA_SSL" "true" }}{{ end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $config "KAFKA_SASL_USERNAME" $name -}}
{{- end -}}
{{- end -}}
{{- if eq $name "notifications" -}}
{{- $_ := set $config "MAIL_FROM" $root.Values.mail.from -}}
{{- if not $root.Values.mail.smtpUrlSecret -}}
{{- $_ := set $config "SMTP_URL" ($root.Values.mail.smtpUrl | default "smtp://mail-catcher:1025") -}}
{{- end -}}
{{- end -}}
{{- include "millrace.overlay" (list $config ($values.config | default dict)) -}}
{{- range $key, $value := $config }}
{{ $key }}: {{ include "millrace.text" $value | quote }}
{{- end -}}
{{- end -}}

{{/* A value as text: Helm itself writes 1000000 as 1e+06. */}}
{{- define "millrace.text" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end -}}

{{/* Not empty where a service talks to Kafka: its spec */}}
{{- define "millrace.usesKafka" -}}
{{- if or .produces .consumes }}true{{ end -}}
{{- end -}}

{{/* The databases' URLs, which the operator puts into Secrets: (list "orders" spec) */}}
{{- define "millrace.databaseEnv" -}}
{{- $name := index . 0 -}}
{{- range (index . 1).databases }}
- name: {{ include "millrace.databaseVariable" (list $name .name) }}
  valueFrom: { secretKeyRef: { name: {{ .name }}-database, key: url } }
{{- end -}}
{{- end -}}

{{/* The Secrets with which a service connects to PostgreSQL by TLS, with the names of their volumes, as a JSON array: (list . spec) */}}
{{- define "millrace.postgresqlCertificates" -}}
{{- $found := list -}}
{{- if (index . 1).databases -}}
{{- with (index . 0).Values.postgresql.tls -}}
{{- if .caSecret }}{{ $found = append $found (dict "name" "postgresql-ca" "secret" .caSecret "keys" (list "ca.crt")) }}{{ end -}}
{{- if .clientSecret }}{{ $found = append $found (dict "name" "postgresql-client" "secret" .clientSecret "keys" (list "tls.crt" "tls.key")) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* The Secret with the password of a service in Kafka; empty where the brokers ask for none: (list . "orders") */}}
{{- define "millrace.kafkaSecret" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- if not (include "millrace.kafkaIsExternal" $root) -}}
{{ $name }}
{{- else -}}
{{- with $root.Values.kafka.external -}}
{{- if ne .sasl.mechanism "none" -}}
{{ ternary (printf "%s-kafka" $name) .sasl.existingSecret .acls }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the authorities of Kafka under the key ca.crt; empty where there is none. */}}
{{- define "millrace.kafkaCaSecret" -}}
{{- if include "millrace.kafkaIsExternal" . -}}
{{ .Values.kafka.external.tls.caSecret }}
{{- else if .Values.kafka.tls -}}
{{ .Values.kafka.name }}-cluster-ca-cert
{{- end -}}
{{- end -}}

{{/* The credentials of the service in Kafka, and whom it trusts there: (list . "orders") */}}
{{- define "millrace.kafkaEnv" -}}
{{- $root := index . 0 -}}
{{- with include "millrace.kafkaSecret" . -}}
{{- if include "millrace.kafkaIsExternal" $root -}}
- name: KAFKA_SASL_USERNAME
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: username } }
{{ end -}}
- name: KAFKA_SASL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: password } }
{{- end }}
{{- with include "millrace.kafkaCaSecret" $root }}
- name: KAFKA_SSL_CA
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: ca.crt } }
{{- end }}
{{- end -}}

{{/* Where spans go, in OpenTelemetry's own variables: (list . "orders") */}}
{{- define "millrace.telemetryEnv" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.telemetry.otlpEndpoint -}}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
- { name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio }
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ $root.Values.telemetry.sampleRatio | quote }} }
- { name: OTEL_RESOURCE_ATTRIBUTES, value: "service.namespace={{ $root.Release.Namespace }},service.version={{ $root.Values.image.tag | default $root.Chart.AppVersion }}" }
{{- end -}}
{{- end -}}

{{/* What scales to nowhere, of the values of a service: (list "orders" values) */}}
{{- define "millrace.refuseScaling" -}}
{{- $name := index . 0 -}}{{- $values := index . 1 -}}
{{- with $values.scaling -}}
{{- if not (and .minReplicas .lagPerReplica) -}}
{{- fail (printf "services.%s.scaling needs minReplicas and lagPerReplica, such as {minReplicas: 2, lagPerReplica: 5000}" $name) -}}
{{- end -}}
{{- end -}}
{{- with $values.autoscaling -}}
{{- if not .maxReplicas }}{{ fail (printf "services.%s.autoscaling needs maxReplicas" $name) }}{{ end -}}
{{- end -}}
{{- range $key, $least := dict "scaling" 1 "autoscaling" 2 -}}
{{- with get $values $key -}}
{{- $min := .minReplicas | default $least | int -}}
{{- if and .maxReplicas (gt $min (int .maxReplicas)) -}}
{{- fail (printf "services.%s.%s: minReplicas is %d, more than maxReplicas, %d" $name $key $min (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty where a service is stopped, whatever scales it otherwise: its values. */}}
{{- define "millrace.isStopped" -}}
{{- if eq (toString .replicas) "0" }}true{{ end -}}
{{- end -}}

{{/* What tells such a service from one that somebody else has scaled to 0: its values. */}}
{{- define "millrace.stoppedAnnotation" -}}
{{- if include "millrace.isStopped" . }}millrace.dev/stopped: 'true'{{ end -}}
{{- end -}}

{{/* Not empty where the operator sets the number of pods by their lag, which only consumers have: (list spec values) */}}
{{- define "millrace.scalesByLag" -}}
{{- $values := index . 1 -}}
{{- if and $values.scaling (index . 0).consumes (not (include "millrace.isStopped" $values)) }}true{{ end -}}
{{- end -}}

{{/* Not empty where a HorizontalPodAutoscaler of the chart sets it: (list spec values) */}}
{{- define "millrace.hasAutoscaler" -}}
{{- $values := index . 1 -}}
{{- if and $values.autoscaling (not (include "millrace.scalesByLag" .)) (not (include "millrace.isStopped" $values)) }}true{{ end -}}
{{- end -}}

{{/* The number of pods, or nothing where somebody else sets it: (list . "orders" spec values) */}}
{{- define "millrace.replicas" -}}
{{- $values := index . 3 -}}
{{- $scaled := list (index . 2) $values -}}
{{- $scaler := dict -}}
{{- if include "millrace.scalesByLag" $scaled }}{{ $scaler = $values.scaling }}{{ else if include "millrace.hasAutoscaler" $scaled }}{{ $scaler = $values.autoscaling }}{{ end -}}
{{- $deployment := include "millrace.presentDeployment" (list (index . 0) (index . 1)) | fromJson -}}
{{- if and $scaler (dig "metadata" "annotations" "millrace.dev/stopped" "" $deployment) -}}
{{- /* the value has stopped it, and whatever scales it leaves a service without pods alone */ -}}
{{ $scaler.minReplicas | default 2 }}
{{- else if or $scaler (kindIs "invalid" $values.replicas) -}}
{{- /* Helm would take the number out of a Deployment that had it, and Kubernetes would go on with one pod until the autoscaler acts */ -}}
{{ dig "spec" "replicas" "" $deployment }}
{{- else -}}
{{ $values.replicas }}
{{- end -}}
{{- end -}}

{{/* What Kubernetes refuses of the gateway's Service: its values. */}}
{{- define "millrace.refuseGatewayService" -}}
{{- $types := dict "nodePort" (list "NodePort" "LoadBalancer") "externalTrafficPolicy" (list "NodePort" "LoadBalancer") "loadBalancerClass" (list "LoadBalancer") "loadBalancerSourceRanges" (list "LoadBalancer") -}}
{{- range $key, $needed := $types -}}
{{- if and (get $ $key) (not (has $.type $needed)) -}}
{{- fail (printf "gateway.service.%s needs gateway.service.type, %s" $key (join " or " $needed)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How the gateway's Service is reached from outside: its values. */}}
{{- define "millrace.gatewayService" -}}
type: {{ .type }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . | quote }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* The annotations of a Service: (list . "orders" values) */}}
{{- define "millrace.serviceAnnotations" -}}
{{- $annotations := deepCopy ((index . 2).serviceAnnotations | default dict) -}}
{{- if eq (index . 1) "gateway" -}}
{{- include "millrace.overlay" (list $annotations (index . 0).Values.gateway.service.annotations) -}}
{{- end -}}
{{- with $annotations }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Where pods may run: the values of a service, or what another pod has. */}}
{{- define "millrace.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What a pod besides those of a service has in common with them: where it runs, what finds it, and what it gets. Its own values come
     over these, and null removes one: (list values own...) */}}
{{- define "millrace.otherPod" -}}
{{- $values := index . 0 -}}
{{- $spec := include "millrace.scheduling" $values | fromYaml -}}
{{- with $values.serviceAccount.name }}{{ $_ := set $spec "serviceAccountName" . }}{{ end -}}
{{- include "millrace.overlay" (list $spec ($values.podSpec | default dict)) -}}
{{- $pod := pick $spec "nodeSelector" "tolerations" "affinity" "priorityClassName" "serviceAccountName" "runtimeClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig" -}}
{{- range list "podLabels" "podAnnotations" "resources" -}}
{{- $_ := set $pod . (get $values . | default dict | deepCopy) -}}
{{- end -}}
{{- range rest . -}}
{{- include "millrace.overlay" (list $pod (. | default dict)) -}}
{{- end -}}
{{- range $key, $value := $pod -}}
{{- if not $value }}{{ $_ := unset $pod $key }}{{ end -}}
{{- end -}}
{{- $pod | toYaml -}}
{{- end -}}

{{/* The pods of the migrations of a service, as its EventService has them: (list . "orders" values) */}}
{{- define "millrace.migration" -}}
{{- $name := index . 1 -}}{{- $values := index . 2 -}}
{{- $own := get ((index . 0).Values.services | default dict) $name | default dict -}}
{{- /* the values of the service have no null any more */ -}}
{{- $pod := include "millrace.otherPod" (list $values $values.migration $own.migration) | fromYaml -}}
{{- $account := include "millrace.serviceAccount" (list $name $values) -}}
{{- if and $account (not $pod.serviceAccountName) }}{{ $_ := set $pod "serviceAccountName" $account }}{{ end -}}
{{- $pod | toYaml -}}
{{- end -}}

{{/* The ServiceAccount of a service; empty for the namespace's default: (list "orders" values) */}}
{{- define "millrace.serviceAccount" -}}
{{- $account := (index . 1).serviceAccount -}}
{{- if or $account.create $account.name }}{{ $account.name | default (index . 0) }}{{ end -}}
{{- end -}}

{{/* The spec of the pods of a service: (list . "orders" spec values) */}}
{{- define "millrace.pod" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $spec := index . 2 -}}{{- $values := index . 3 -}}
{{- $certificates := include "millrace.postgresqlCertificates" (list $root $spec) | fromJsonArray -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "millrace.serviceAccount" (list $name $values) }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- include "millrace.pullSecrets" $root }}
securityContext: {{- include "millrace.podSecurity" $root | nindent 2 }}
terminationGracePeriodSeconds: {{ add $values.shutdownDelaySeconds $values.shutdownGraceSeconds 5 }}
{{- if kindIs "invalid" $values.topologySpreadConstraints }}
topologySpreadConstraints: {{- include "millrace.spread" (list $root $name) | nindent 2 }}
{{- else }}
topologySpreadConstraints: {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- end }}
{{- include "millrace.scheduling" $values }}
{{- if or $spec.databases $values.extraInitContainers }}
initContainers:
  {{- if $spec.databases }}
  # the operator applies the migrations of this image; the old pods serve until then
  - name: migrated
    image: {{ include "millrace.image" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args:
      - platform/migrate/main.ts
      - --wait
      {{- range $spec.databases }}
      - {{ .schema }}={{ include "millrace.databaseVariable" (list $name .name) }}
      {{- end }}
    env: {{- include "millrace.databaseEnv" (list $name $spec) | nindent 6 }}
    resources: {{- include "millrace.resources" (list (printf "services.%s.resources" $name) $values.resources) | nindent 6 }}
    securityContext: {{- include "millrace.containerSecurity" $root | nindent 6 }}
    {{- with $certificates }}
    volumeMounts:
      {{- range . }}
      - { name: {{ .name }}, mountPath: /etc/{{ .name }}, readOnly: true }
      {{- end }}
    {{- end }}
  {{- end }}
  {{- with $values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  - name: {{ $name }}
    image: {{ include "millrace.image" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args:
      {{- $node := $root.Files.Get "files/node.yaml" | fromYaml }}
      {{- range concat $node.all (dig $name list $node.services) }}
      - {{ . }}
      {{- end }}
      - services/{{ $name }}/main.ts
    env:
      - { name: CONFIG_DIR, value: /etc/millrace }
      {{- with include "millrace.telemetryEnv" (list $root $name) }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with include "millrace.databaseEnv" (list $name $spec) }}
      {{- . | nindent 6 }}
      - { name: DATABASE_SECRETS_DIR, value: /etc/millrace-databases }
      {{- end }}
      {{- if include "millrace.usesKafka" $spec }}
      {{- with include "millrace.kafkaEnv" (list $root $name) | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- if include "millrace.kafkaSecret" (list $root $name) }}
      {{- if include "millrace.kafkaIsExternal" $root }}
      - { name: KAFKA_SASL_USERNAME_FILE, value: /etc/millrace-kafka/user/username }
      {{- end }}
      - { name: KAFKA_SASL_PASSWORD_FILE, value: /etc/millrace-kafka/user/password }
      {{- end }}
      {{- if include "millrace.kafkaCaSecret" $root }}
      - { name: KAFKA_SSL_CA_DIR, value: /etc/millrace-kafka/ca }
      {{- end }}
      {{- end }}
      {{- if and (eq $name "notifications") $root.Values.mail.smtpUrlSecret }}
      - name: SMTP_URL
        valueFrom: { secretKeyRef: { name: {{ $root.Values.mail.smtpUrlSecret | quote }}, key: url } }
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom: {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - { name: http, containerPort: {{ $spec.port }} }
    startupProbe:
      httpGet: { path: /livez, port: http }
      periodSeconds: 1
      timeoutSeconds: 3
      failureThreshold: 120
    readinessProbe:
      httpGet: { path: /readyz, port: http }
      periodSeconds: 3
      timeoutSeconds: 3
      failureThreshold: 2
    livenessProbe:
      httpGet: { path: /livez, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    resources: {{- include "millrace.resources" (list (printf "services.%s.resources" $name) $values.resources) | nindent 6 }}
    securityContext: {{- include "millrace.containerSecurity" $root | nindent 6 }}
    volumeMounts:
      - { name: config, mountPath: /etc/millrace, readOnly: true }
      {{- if $spec.databases }}
      - { name: database-secrets, mountPath: /etc/millrace-databases, readOnly: true }
      {{- end }}
      {{- if include "millrace.usesKafka" $spec }}
      {{- if include "millrace.kafkaSecret" (list $root $name) }}
      - { name: kafka-user, mountPath: /etc/millrace-kafka/user, readOnly: true }
      {{- end }}
      {{- if include "millrace.kafkaCaSecret" $root }}
      - { name: kafka-ca, mountPath: /etc/millrace-kafka/ca, readOnly: true }
      {{- end }}
      {{- end }}
      {{- range $certificates }}
      - { name: {{ .name }}, mountPath: /etc/{{ .name }}, readOnly: true }
      {{- end }}
      {{- if $spec.streamQueries }}
      # the valid queries of the operator replace those of the image
      - { name: stream-queries, mountPath: /app/charts/millrace/files/queries, readOnly: true }
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: config
    configMap: { name: {{ $name }} }
  # What is renewed while a pod runs. At its start the environment has the same, and waits for it: a kubelet would try a volume whose
  # Secret is missing at longer and longer intervals.
  {{- if $spec.databases }}
  - name: database-secrets
    projected:
      sources:
        {{- range $database := $spec.databases }}
        - secret:
            name: {{ $database.name }}-database
            optional: true
            items:
              {{- range $key := list "database" "username" "password" "nextPassword" }}
              - { key: {{ $key }}, path: {{ $database.name }}/{{ $key }} }
              {{- end }}
        {{- end }}
  {{- end }}
  {{- if include "millrace.usesKafka" $spec }}
  {{- with include "millrace.kafkaSecret" (list $root $name) }}
  - name: kafka-user
    secret:
      secretName: {{ . | quote }}
      optional: true
      items:
        {{- if include "millrace.kafkaIsExternal" $root }}
        - { key: username, path: username }
        {{- end }}
        - { key: password, path: password }
  {{- end }}
  {{- with include "millrace.kafkaCaSecret" $root }}
  # with the certificates of an authority that is being replaced
  - name: kafka-ca
    secret: { secretName: {{ . | quote }}, optional: true }
  {{- end }}
  {{- end }}
  # the URLs of the databases name the files
  {{- range $certificates }}
  - name: {{ .name }}
    secret:
      secretName: {{ .secret | quote }}
      items:
        {{- range .keys }}
        - { key: {{ . }}, path: {{ . }} }
        {{- end }}
  {{- end }}
  {{- if $spec.streamQueries }}
  # the operator fills the first one, then the next
  - name: stream-queries
    projected:
      sources:
        - configMap: { name: stream-queries }
        {{- range untilStep 2 9 1 }}
        - configMap: { name: stream-queries-{{ . }}, optional: true }
        {{- end }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
