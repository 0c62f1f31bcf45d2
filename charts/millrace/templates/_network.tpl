{{/* A policy that lets some pods connect to others, or to anybody where there are no peers, as Kubernetes has it:
     (dict "root" $ "name" "orders-to-users" "pods" selector "egress"|"ingress" peers "ports" (list 8081)) */}}
{{- define "millrace.policy" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  labels: {{- include "millrace.labels" (list .root "network") | nindent 4 }}
spec:
  podSelector: { matchLabels: {{ .pods | toJson }} }
  {{- $direction := ternary "egress" "ingress" (hasKey . "egress") }}
  policyTypes: [{{ title $direction }}]
  {{ $direction }}:
    - ports: {{ range .ports }}
        - { port: {{ . }}, protocol: TCP }
      {{- end }}
      {{- with get . $direction }}
      {{ ternary "to" "from" (eq $direction "egress") }}: {{ toJson . }}
      {{- end }}
{{- end -}}

{{/* A policy with what values open besides, if anything: (list . "orders" selector egress) */}}
{{- define "millrace.extraEgress" }}
{{- with index . 3 }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ index $ 1 }}-to-others
  labels: {{- include "millrace.labels" (list (index $ 0) "network") | nindent 4 }}
spec:
  podSelector: { matchLabels: {{ index $ 2 | toJson }} }
  policyTypes: [Egress]
  egress: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* Peers that are a namespace's pods: "millrace-system" */}}
{{- define "millrace.namespacePeer" -}}
{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": {{ . | quote }}}}}
{{- end -}}

{{/* Peers that are a server of your own, as JSON: (list "postgresql.external" .Values.postgresql.external) */}}
{{- define "millrace.externalPeers" -}}
{{- $name := index . 0 -}}{{- $external := index . 1 -}}
{{- $peers := list -}}
{{- range $external.cidrs -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) -}}
{{- end -}}
{{- with $external.namespace -}}
{{- $peers = append $peers (include "millrace.namespacePeer" . | fromJson) -}}
{{- end -}}
{{- if not $peers -}}
{{- fail (printf "%s.cidrs must have the addresses of its servers, such as [10.0.0.0/8], or %s.namespace the namespace of their pods: the NetworkPolicies let pods reach nothing else" $name $name) -}}
{{- end -}}
{{- $peers | toJson -}}
{{- end -}}

{{/* The labels of the pods of PostgreSQL, as JSON; empty where it is not in the namespace. */}}
{{- define "millrace.postgresqlPods" -}}
{{- if eq .Values.postgresql.mode "bundled" -}}
{{ include "millrace.selector" (list . "postgresql") | fromYaml | toJson }}
{{- else if eq .Values.postgresql.mode "cloudnative-pg" -}}
{"cnpg.io/cluster": "postgresql"}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* Peers that are the databases, as JSON. */}}
{{- define "millrace.postgresqlPeers" -}}
{{- if eq .Values.postgresql.mode "external" -}}
{{ include "millrace.externalPeers" (list "postgresql.external" .Values.postgresql.external) }}
{{- else -}}
[{"podSelector": {"matchLabels": {{ include "millrace.postgresqlPods" . }}}}]
{{- end -}}
{{- end -}}

{{/* Peers that are the collector of traces, as JSON: the namespace of monitoring where its name is of there, otherwise anybody. */}}
{{- define "millrace.collectorPeers" -}}
{{- $namespace := .Values.networkPolicy.monitoringNamespace -}}
{{- $host := (urlParse .Values.telemetry.otlpEndpoint).hostname -}}
{{- $peers := list -}}
{{- if eq $namespace (index (append (splitList "." $host) "") 1) -}}
{{- $peers = list (include "millrace.namespacePeer" $namespace | fromJson) -}}
{{- end -}}
{{ toJson $peers }}
{{- end -}}

{{/* The port of a URL, or its scheme's: "smtps://mail". Without one, nodemailer submits mail at 587. */}}
{{- define "millrace.portOf" -}}
{{- $url := urlParse . -}}
{{- $explicit := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- $explicit | default (get (dict "http" "80" "https" "443" "smtp" "587" "smtps" "465") $url.scheme) -}}
{{- end -}}
