{{- /* A deployment of processes of one role. Takes a list: the root, the role. */}}
{{- define "tillbell.process" -}}
{{- $root := index . 0 }}
{{- $role := index . 1 }}
{{- $part := index $root.Values $role }}
{{- $secrets := $root.Values.secrets }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "tillbell.name" $root }}-{{ $role }}
  labels: {{- include "tillbell.labels" . | nindent 4 }}
spec:
  replicas: {{ $part.replicas }}
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "tillbell.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "tillbell.labels" . | nindent 8 }}
      {{- with $part.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "tillbell.name" $root }}
      automountServiceAccountToken: false
      # Otherwise a Service called tillbell would set TILLBELL_PORT=tcp://…
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ add $root.Values.drainSeconds 25 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $part.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $part.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "tillbell.selector" . | nindent 14 }}
      containers:
        - name: tillbell
          image: {{ include "tillbell.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve]
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          env: {{- include "tillbell.environment" . | nindent 12 }}
          ports:
            - {name: http, containerPort: 8420}
          # The first process creates the tables; the others wait for it.
          startupProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 2
            failureThreshold: 150
          # Checks that it answers. A restart does not help if the database is unavailable.
          livenessProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- if eq $role "api" }}
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 6
            failureThreshold: 2
          lifecycle:
            # Wait until proxies send no more requests here.
            preStop: {exec: {command: [sleep, "5"]}}
          {{- else }}
          # A worker gets no requests, so it need not be ready for them. Late deliveries cause an
          # alert; they must not stop a rollout that repairs them.
          readinessProbe:
            httpGet: {path: /livez, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
          {{- end }}
          resources: {{- toYaml $part.resources | nindent 12 }}
          volumeMounts:
            - {name: secrets, mountPath: /run/secrets/tillbell, readOnly: true}
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: secrets
          secret:
            secretName: {{ $secrets.name }}
            defaultMode: 0440
            items:
              - {key: {{ $secrets.databaseUrl | quote }}, path: database_url}
              - {key: {{ $secrets.masterKey | quote }}, path: master_key}
              {{- if eq $role "api" }}
              - {key: {{ $secrets.adminKey | quote }}, path: admin_key}
              {{- end }}
        # Nothing is stored in the container: the store is PostgreSQL, and keys are secrets.
        - name: data
          emptyDir: {sizeLimit: 16Mi}
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
{{- end }}

{{- /* What it is told. Takes a list: the root, the role. */}}
{{- define "tillbell.environment" -}}
{{- $root := index . 0 }}
{{- $role := index . 1 -}}
- {name: TILLBELL_ROLE, value: {{ $role }}}
- {name: TILLBELL_DATABASE_URL_FILE, value: /run/secrets/tillbell/database_url}
- {name: TILLBELL_MASTER_KEY_FILE, value: /run/secrets/tillbell/master_key}
{{- if eq $role "api" }}
- {name: TILLBELL_ADMIN_KEY_FILE, value: /run/secrets/tillbell/admin_key}
{{- end }}
# Data is on the disk of PostgreSQL, not here.
- {name: TILLBELL_DISK_RESERVE_MB, value: "0"}
- {name: TILLBELL_DRAIN_TIMEOUT_S, value: {{ $root.Values.drainSeconds | quote }}}
{{- range $name, $value := $root.Values.settings }}
- name: TILLBELL_{{ upper $name }}
  {{- /* Numbers reach us as floating ones, and would be written 1e+06. */}}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end }}
