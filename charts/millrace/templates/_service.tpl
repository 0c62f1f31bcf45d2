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
{{- $_ := set $config "KAFKA_SASL_USERNAME" $name -}}
{{- $_ := set $config "KAFKA_COMPRESSION" $root.Values.kafka.compression -}}
{{- end -}}
{{- if eq $name "notifications" -}}
{{- $_ := set $config "MAIL_FROM" $root.Values.mail.from -}}
{{- if not $root.Values.mail.smtpUrlSecret -}}
{{- $_ := set $config "SMTP_URL" ($root.Values.mail.smtpUrl | default "smtp://mail-catcher:1025") -}}
{{- end -}}
{{- end -}}
{{- include "millrace.overlay" (list $config ($values.config | default dict)) -}}
{{- range $key, $value := $config }}
{{ $key }}: {{ $value | toString | quote }}
{{- end -}}
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

{{/* The credentials of the service's KafkaUser: (list . "orders") */}}
{{- define "millrace.kafkaEnv" -}}
{{- $root := index . 0 -}}
- name: KAFKA_SASL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ index . 1 }}, key: password } }
{{- if $root.Values.kafka.tls }}
- name: KAFKA_SSL_CA
  valueFrom: { secretKeyRef: { name: {{ $root.Values.kafka.name }}-cluster-ca-cert, key: ca.crt } }
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
