{{/* What the schema cannot say: values that contradict each other, and a namespace that would refuse the pods. */}}
{{- define "inotrail.checks" -}}
{{- $values := .Values -}}
{{- if and $values.destinations $values.otlp.endpoint }}
{{- fail "destinations and otlp.endpoint: give one of them; otlp.endpoint is the one destination where there are no others" }}
{{- end }}
{{- if $values.destinations }}
{{- range list "headersSecret" "bearerTokenSecret" "caSecret" "clientSecret" }}
{{- if (index $values.otlp .).name }}
{{- fail (printf "otlp.%s is of no destination: mount the Secret by exporter.secrets, and name the file in the destination" .) }}
{{- end }}
{{- end }}
{{- if $values.otlp.tenant }}
{{- fail "otlp.tenant is of no destination: give each its tenant" }}
{{- end }}
{{- end }}
{{- if and $values.loki.enabled $values.loki.url }}
{{- fail "loki.url names an existing Loki, and loki.enabled installs another one: set loki.enabled=false, or leave loki.url out" }}
{{- end }}
{{- $hasLoki := or $values.loki.enabled $values.loki.url }}
{{- if and $values.collector.enabled (not $hasLoki) (not $values.collector.config) }}
{{- fail "collector.enabled needs somewhere to send to: set loki.enabled=true, give loki.url, or name exporters in collector.config" }}
{{- end }}
{{- if and (not $values.collector.enabled) (not $hasLoki) (not $values.otlp.endpoint) (not $values.destinations) }}
{{- fail "nothing takes the records: set collector.enabled=true, give otlp.endpoint or destinations, or a Loki (loki.enabled, loki.url)" }}
{{- end }}
{{- if and (or $values.grafana.enabled $values.grafana.sidecar.enabled) (not $hasLoki) }}
{{- fail "grafana needs a Loki to ask: set loki.enabled=true, give loki.url, or set grafana.enabled=false and grafana.sidecar.enabled=false" }}
{{- end }}
{{- if and $values.collector.enabled $values.loki.multiTenant $values.otlp.tenant (not $values.otlp.endpoint) }}
{{- fail "otlp.tenant: the bundled Collector sends everything as loki.tenant; set collector.enabled=false, and exporters send to Loki themselves" }}
{{- end }}
{{- if hasPrefix "http://" $values.otlp.endpoint }}
{{- if or $values.otlp.caSecret.name $values.otlp.clientSecret.name }}
{{- fail "otlp.caSecret and otlp.clientSecret are of no use without TLS: write otlp.endpoint as https://..." }}
{{- end }}
{{- end }}
{{- if and (not $values.otlp.endpoint) (or $values.otlp.caSecret.name $values.otlp.clientSecret.name) }}
{{- fail "otlp.caSecret and otlp.clientSecret are for a receiver of your own: give otlp.endpoint" }}
{{- end }}
{{- $policies := include "inotrail.policies" . | trim }}
{{- range $values.policies.defaults }}
{{- if not ($.Files.Get (printf "policies/%s.yaml" .)) }}
{{- fail (printf "policies.defaults: there is no policy %q" .) }}
{{- end }}
{{- end }}
{{- if and $values.policies.decoys (not $policies) (not $values.policies.kubernetes) }}
{{- fail "policies.decoys needs policies, which have them: set policies.kubernetes=true, or give policies.files" }}
{{- end }}
{{- if and $values.policies.kubernetes (not $values.rbac.create) (not $values.serviceAccount.name) (not $values.serviceAccount.create) }}
{{- fail "rbac.create=false and serviceAccount.create=false: name a service account that may read pods and policies in serviceAccount.name" }}
{{- end }}
{{- if and $values.exporter.hook.enabled (lt (int $values.exporter.terminationGracePeriodSeconds) 45) }}
{{- fail "exporter.terminationGracePeriodSeconds: at least 45 with exporter.hook.enabled, which takes 10 s to remove the hook before the exporter sends for 20 s" }}
{{- end }}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace }}
{{- $enforced := dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "" (default dict $namespace) }}
{{- if has $enforced (list "baseline" "restricted") }}
{{- fail (printf "namespace %s enforces the Pod Security Standard %q, and the exporter needs host paths, the host's processes and capabilities: kubectl label --overwrite namespace %s pod-security.kubernetes.io/enforce=privileged" .Release.Namespace $enforced .Release.Namespace) }}
{{- end }}
{{- end }}
