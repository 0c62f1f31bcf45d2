{{/* The spec of the pod of the bundled PostgreSQL. */}}
{{- define "millrace.postgresqlPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "millrace.foreignPullSecrets" . }}
securityContext: {{- include "millrace.compact" .Values.postgresql.bundled.podSecurityContext | nindent 2 }}
# a fast shutdown ends sessions and writes a checkpoint
terminationGracePeriodSeconds: 60
containers:
  - name: postgresql
    image: {{ .Values.postgresql.bundled.image }}
    imagePullPolicy: IfNotPresent
    # Images before 18 have a volume at /var/lib/postgresql/data, which is new in each container and covers the disk.
    # A pod that is deleted by force can still run on its node. Its server and this one would write to the same files, and
    # PostgreSQL sees no other server in another container. The lock is free when the last process of that server has ended.
    command:
      - bash
      - -c
      - |
        at=${PGDATA:-}
        while [[ $at == /var/lib/postgresql/* ]] && ! cut -d ' ' -f 5 /proc/self/mountinfo | grep -qxF "$at"; do at=${at%/*}; done
        if [[ $at != /var/lib/postgresql ]]; then
          echo "PGDATA of this image is '${PGDATA:-}', which is not on the disk at /var/lib/postgresql: the data would be lost with the container. postgresql.bundled.image must be an image of PostgreSQL 18 or later." >&2
          exit 1
        fi
        exec 9>>/var/lib/postgresql/lock
        flock 9
        exec docker-entrypoint.sh "$0" "$@"
    args: [postgres, -c, max_connections={{ .Values.postgresql.maxConnections }}, -c, max_wal_size=2GB, -c, wal_compression=on]
    env:
      # the operator makes the Secret, and nothing changes it: a chart that made a password would make another one each time
      - name: POSTGRES_USER
        valueFrom: { secretKeyRef: { name: {{ include "millrace.postgresqlSecret" . | quote }}, key: username } }
      - name: POSTGRES_PASSWORD
        valueFrom: { secretKeyRef: { name: {{ include "millrace.postgresqlSecret" . | quote }}, key: password } }
    ports:
      - { name: postgresql, containerPort: 5432 }
    startupProbe:
      exec: { command: [pg_isready, --quiet, --host=127.0.0.1] }
      periodSeconds: 1
      timeoutSeconds: 3
      failureThreshold: 300
    readinessProbe:
      exec: { command: [pg_isready, --quiet, --host=127.0.0.1] }
      periodSeconds: 5
      timeoutSeconds: 3
    livenessProbe:
      tcpSocket: { port: postgresql }
      periodSeconds: 10
      failureThreshold: 6
    resources: {{- include "millrace.resources" (list "postgresql.resources" .Values.postgresql.resources) | nindent 6 }}
    securityContext: {{- include "millrace.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - { name: data, mountPath: /var/lib/postgresql }
      - { name: run, mountPath: /var/run/postgresql }
      - { name: tmp, mountPath: /tmp }
      - { name: shm, mountPath: /dev/shm }
volumes:
  - { name: run, emptyDir: {} }
  - { name: tmp, emptyDir: {} }
  # the default of 64 MB of shared memory is too small for parallel queries
  - { name: shm, emptyDir: { medium: Memory, sizeLimit: 256Mi } }
{{- end -}}

{{/* The spec of the Cluster of CloudNativePG. */}}
{{- define "millrace.postgresqlCluster" -}}
instances: {{ .Values.postgresql.cloudnativePg.instances }}
imageName: {{ .Values.postgresql.cloudnativePg.image }}
{{- include "millrace.foreignPullSecrets" . }}
# the operator creates databases and roles with it: Secret postgresql-superuser
enableSuperuserAccess: true
{{- $cnpg := .Values.postgresql.cloudnativePg }}
{{- $hasStandby := gt (int $cnpg.instances) 1 }}
{{- if $hasStandby }}
# besides over nodes, which CloudNativePG does itself
topologySpreadConstraints:
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: { matchLabels: { cnpg.io/cluster: postgresql } }
{{- end }}
postgresql:
  {{- if $hasStandby }}
  # an acknowledged commit is on two instances
  synchronous: { method: any, number: 1 }
  {{- end }}
  parameters:
    max_connections: {{ .Values.postgresql.maxConnections | quote }}
    max_wal_size: 2GB
    wal_compression: "on"
resources: {{- include "millrace.resources" (list "postgresql.resources" .Values.postgresql.resources) | nindent 2 }}
storage:
  size: {{ .Values.postgresql.storage }}
  {{- with .Values.postgresql.storageClass }}
  storageClass: {{ . | quote }}
  {{- end }}
{{- with $cnpg.walStorage }}
walStorage:
  size: {{ . }}
  {{- with $.Values.postgresql.storageClass }}
  storageClass: {{ . | quote }}
  {{- end }}
{{- end }}
{{- $archive := $cnpg.backup.serverName | default "postgresql" }}
{{- if $cnpg.backup.objectStore }}
plugins:
  - name: barman-cloud.cloudnative-pg.io
    isWALArchiver: true
    parameters: { barmanObjectName: postgresql, serverName: {{ $archive | quote }} }
{{- end }}
{{- with $cnpg.recovery.serverName }}
{{- if not $cnpg.backup.objectStore }}{{ fail "postgresql.cloudnativePg.recovery needs postgresql.cloudnativePg.backup.objectStore, where the backup is" }}{{ end }}
{{- if eq . $archive }}{{ fail (printf "postgresql.cloudnativePg.backup.serverName must not be %s, from which the Cluster is recovered: its write-ahead log would be written over" .) }}{{ end }}
bootstrap:
  recovery:
    source: backup
    {{- with $cnpg.recovery.targetTime }}
    recoveryTarget: { targetTime: {{ . | quote }} }
    {{- end }}
externalClusters:
  - name: backup
    plugin:
      name: barman-cloud.cloudnative-pg.io
      parameters: { barmanObjectName: postgresql, serverName: {{ . | quote }} }
{{- else }}
{{- if $cnpg.recovery.targetTime }}{{ fail "postgresql.cloudnativePg.recovery.targetTime needs postgresql.cloudnativePg.recovery.serverName" }}{{ end }}
{{- end }}
{{- end -}}

{{/* The spec of the pods that back the bundled PostgreSQL up. */}}
{{- define "millrace.backupPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
{{- include "millrace.foreignPullSecrets" . }}
securityContext: {{- include "millrace.compact" .Values.postgresql.bundled.podSecurityContext | nindent 2 }}
containers:
  - name: backup
    image: {{ .Values.postgresql.bundled.image }}
    imagePullPolicy: IfNotPresent
    command: [bash, /scripts/backup.sh]
    env:
      - { name: KEEP, value: {{ .Values.postgresql.bundled.backup.keep | quote }} }
      {{- range $variable, $key := dict "PGHOST" "host" "PGPORT" "port" "PGUSER" "username" "PGPASSWORD" "password" }}
      - name: {{ $variable }}
        valueFrom: { secretKeyRef: { name: {{ include "millrace.postgresqlSecret" $ | quote }}, key: {{ $key }} } }
      {{- end }}
    resources: {{- include "millrace.resources" (list "postgresql.bundled.backup.resources" .Values.postgresql.bundled.backup.resources) | nindent 6 }}
    securityContext: {{- include "millrace.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - { name: backups, mountPath: /backups }
      - { name: scripts, mountPath: /scripts, readOnly: true }
      - { name: tmp, mountPath: /tmp }
volumes:
  - { name: backups, persistentVolumeClaim: { claimName: postgresql-backups } }
  - { name: scripts, configMap: { name: postgresql-backup } }
  - { name: tmp, emptyDir: {} }
{{- end -}}
