{{/* A claim of a StatefulSet: [name, persistence]. */}}
{{- define "inotrail.claim" -}}
{{- $persistence := index . 1 -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ index . 0 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $persistence.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ $persistence.size }}
{{- end }}

{{- define "inotrail.collectorConfig" -}}
config.yaml: |
  {{- .Files.Get "files/collector.yaml" | trim | nindent 2 }}
{{- if not .Values.collector.persistence.enabled }}
direct.yaml: |
  {{- .Files.Get "files/collector-direct.yaml" | trim | nindent 2 }}
{{- end }}
{{- with .Values.collector.config }}
more.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* At most one goes when a node is drained: [root, part]. */}}
{{- define "inotrail.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "inotrail.metadata" (list (index . 0) (index . 1) (printf "%s-%s" (include "inotrail.fullname" (index . 0)) (index . 1))) | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "inotrail.selector" . | nindent 6 }}
{{- end }}
