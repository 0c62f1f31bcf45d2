{{/* The spec of its pods. */}}
{{- define "millrace-operator.pod" -}}
serviceAccountName: {{ include "millrace-operator.serviceAccount" . | quote }}
enableServiceLinks: false
{{- include "millrace-operator.pullSecrets" . }}
securityContext: {{- include "millrace-operator.compact" .Values.podSecurityContext | nindent 2 }}
# it finishes what is in hand and gives its lease back
terminationGracePeriodSeconds: 30
{{- if kindIs "invalid" .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "millrace-operator.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- else }}
topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.extraInitContainers }}
initContainers: {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: operator
    image: {{ include "millrace-operator.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [--max-old-space-size=128, --max-semi-space-size=2, operators/millrace/main.ts]
    env:
      - { name: CONFIG_DIR, value: /etc/millrace }
      - name: POD_NAME
        valueFrom: { fieldRef: { fieldPath: metadata.name } }
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .Values.extraEnvFrom }}
    envFrom: {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - { name: http, containerPort: 8090 }
    startupProbe:
      httpGet: { path: /livez, port: http }
      periodSeconds: 1
      timeoutSeconds: 3
      failureThreshold: 120
    readinessProbe:
      httpGet: { path: /readyz, port: http }
      periodSeconds: 3
      timeoutSeconds: 3
    livenessProbe:
      httpGet: { path: /livez, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    resources: {{- toYaml .Values.resources | nindent 6 }}
    securityContext: {{- include "millrace-operator.compact" .Values.containerSecurityContext | nindent 6 }}
    volumeMounts:
      - { name: config, mountPath: /etc/millrace, readOnly: true }
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with .Values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: config
    configMap: { name: millrace-operator }
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
