{{/* The release's objects: inotrail, or RELEASE-inotrail. */}}
{{- define "inotrail.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels by which pods of a part are found: [root, part]. They never change. */}}
{{- define "inotrail.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels: [root, part]. */}}
{{- define "inotrail.labels" -}}
{{- $root := index . 0 -}}
{{ include "inotrail.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of a namespaced object: [root, part, name]. */}}
{{- define "inotrail.metadata" -}}
name: {{ index . 2 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "inotrail.labels" . | nindent 2 }}
{{- end }}

{{/* An image: [root, its values, tag where they have none]. */}}
{{- define "inotrail.image" -}}
{{- $image := index . 1 -}}
{{- $registry := default $image.registry (index . 0).Values.imageRegistry -}}
{{- printf "%s/%s:%s" $registry $image.repository (default (index . 2) $image.tag) -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* Where pods go: values of a part. */}}
{{- define "inotrail.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Pods of the bundled stack: `restricted` by Kubernetes' Pod Security Standards: [root, user]. OpenShift chooses the user itself. */}}
{{- define "inotrail.restricted" -}}
runAsNonRoot: true
{{- if not (index . 0).Values.openshift.enabled }}
runAsUser: {{ index . 1 }}
runAsGroup: {{ index . 1 }}
fsGroup: {{ index . 1 }}
{{- end }}
# A volume that is right already is not walked through at every start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "inotrail.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "inotrail.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "inotrail.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Parts of the bundled stack that are installed, as JSON. Each runs as an account of its own, which may do nothing. */}}
{{- define "inotrail.parts" -}}
{{- $parts := list -}}
{{- range list "collector" "loki" "grafana" -}}
{{- if (index $.Values .).enabled }}{{ $parts = append $parts . }}{{ end -}}
{{- end -}}
{{- toJson $parts -}}
{{- end }}

{{- define "inotrail.lokiUrl" -}}
{{- if .Values.loki.enabled -}}
http://{{ include "inotrail.fullname" . }}-loki:3100
{{- else -}}
{{- trimSuffix "/" .Values.loki.url -}}
{{- end -}}
{{- end }}

{{/* Where records go if there are no `destinations`, as flags. */}}
{{- define "inotrail.otlp" -}}
{{- $otlp := .Values.otlp -}}
{{- if $otlp.endpoint }}
endpoint: {{ $otlp.endpoint | quote }}
protocol: {{ $otlp.protocol }}
{{- else if .Values.collector.enabled }}
endpoint: http://{{ include "inotrail.fullname" . }}-collector:4317
protocol: grpc
{{- else }}
endpoint: {{ include "inotrail.lokiUrl" . }}/otlp/v1/logs
protocol: http/protobuf
{{- end }}
{{- $direct := not (or $otlp.endpoint .Values.collector.enabled) }}
{{- $tenant := default (ternary (printf "name:%s" .Values.loki.tenant) "" $direct) $otlp.tenant }}
{{- with $tenant }}
tenant: {{ . | quote }}
{{- end }}
{{- with $otlp.bearerTokenSecret.name }}
bearer-token-file: /etc/inotrail/secrets/otlp-token/{{ $otlp.bearerTokenSecret.key }}
{{- end }}
{{- with $otlp.caSecret.name }}
ca-file: /etc/inotrail/secrets/otlp-ca/{{ $otlp.caSecret.key }}
{{- end }}
{{- with $otlp.clientSecret.name }}
client-cert: /etc/inotrail/secrets/otlp-client/tls.crt
client-key: /etc/inotrail/secrets/otlp-client/tls.key
{{- end }}
{{- end }}

{{/* Secrets that the exporter has mounted: names by name. */}}
{{- define "inotrail.secrets" -}}
{{- $secrets := deepCopy .Values.exporter.secrets -}}
{{- with .Values.otlp.bearerTokenSecret.name }}{{ $_ := set $secrets "otlp-token" . }}{{ end -}}
{{- with .Values.otlp.caSecret.name }}{{ $_ := set $secrets "otlp-ca" . }}{{ end -}}
{{- with .Values.otlp.clientSecret.name }}{{ $_ := set $secrets "otlp-client" . }}{{ end -}}
{{- toYaml $secrets -}}
{{- end }}

{{/* Policies to start with and more, by file name: a ConfigMap's data. */}}
{{- define "inotrail.policies" -}}
{{- range .Values.policies.defaults }}
{{ . }}.yaml: |
  {{- $.Files.Get (printf "policies/%s.yaml" .) | trim | nindent 2 }}
{{- end }}
{{- range $name, $document := .Values.policies.files }}
{{ $name }}: |
  {{- $document | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* The exporter's configuration: flags of `run`. */}}
{{- define "inotrail.config" -}}
{{- $values := .Values -}}
{{- $exporter := $values.exporter -}}
{{- $config := deepCopy $exporter.config -}}
{{- $address := $exporter.metrics.address -}}
{{- if contains ":" $address }}{{ $address = printf "[%s]" $address }}{{ end -}}
{{- $_ := set $config "listen" (printf "%s:%v" $address $exporter.metrics.port) -}}
{{- $_ := set $config "kubernetes" "always" -}}
{{- with $values.clusterName }}{{ $_ := set $config "cluster-name" . }}{{ end -}}
{{- $_ := set $config "runtime" $exporter.runtime.name -}}
{{- if ne $exporter.runtime.name "none" }}{{ $_ := set $config "runtime-socket" $exporter.runtime.socket }}{{ end -}}
{{- $accounts := index $config "exclude-account" | default list -}}
{{- if $exporter.excludeOwn }}
{{- range include "inotrail.parts" . | fromJsonArray }}{{ $accounts = append $accounts (printf "%s/%s-%s" $.Release.Namespace (include "inotrail.fullname" $) .) }}{{ end -}}
{{- end -}}
{{- with $accounts }}{{ $_ := set $config "exclude-account" . }}{{ end -}}
{{- if $exporter.nri.enabled }}{{ $_ := set $config "nri-socket" $exporter.nri.socket }}{{ end -}}
{{- if $exporter.hook.enabled }}{{ $_ := set $config "hook-socket" (printf "%s/oci-hook.sock" $exporter.hook.socketDir) }}{{ end -}}
{{- $_ := set $config "state" "/var/lib/inotrail" -}}
{{- $_ := set $config "spool-size" $exporter.state.size -}}
{{- if $exporter.pin.enabled }}{{ $_ := set $config "pin-dir" (printf "%s/inotrail" $exporter.pin.path) }}{{ end -}}
{{- if $values.policies.kubernetes }}{{ $_ := set $config "kubernetes-policies" true }}{{ end -}}
{{- if include "inotrail.policies" . | trim }}{{ $_ := set $config "policy" "/etc/inotrail/policies" }}{{ end -}}
{{- if $values.policies.decoys }}{{ $_ := set $config "decoys" true }}{{ end -}}
{{- if $values.destinations -}}
{{- $_ := set $config "destinations" $values.destinations -}}
{{- else -}}
{{- $config = merge $config (include "inotrail.otlp" . | fromYaml) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* What of it takes a restart to change: all but what the exporter reads again while it runs. */}}
{{- define "inotrail.fixedConfig" -}}
{{- $live := list "endpoint" "protocol" "insecure" "header" "tenant-header" "bearer-token-file" "compression" "timeout" "ca-file" "client-cert" "client-key" "max-age" "in-flight" -}}
{{- $config := include "inotrail.config" . | fromYaml -}}
{{- range $live }}{{ $_ := unset $config . }}{{ end -}}
{{- range $name, $destination := $config.destinations }}
{{- range $live }}{{ $_ := unset $destination . }}{{ end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}
