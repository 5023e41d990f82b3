{{/* Files of grafana/provisioning for sources that there are: their names, below files/, with commas. */}}
{{- define "inotrail.provisioning" -}}
{{- $kind := index . 1 -}}
files/{{ $kind }}/loki.yaml
{{- if (index . 0).Values.grafana.prometheusUrl }},files/{{ $kind }}/prometheus.yaml{{ end -}}
{{- end }}

{{/* A Secret's data: datasources, with what the files take from Grafana's environment written down, as another Grafana has another one. */}}
{{- define "inotrail.datasources" -}}
{{- range include "inotrail.provisioning" (list . "datasources") | splitList "," }}
inotrail-{{ base . }}: |
  {{- $.Files.Get . | replace "$INOTRAIL_LOKI_URL" (include "inotrail.lokiUrl" $ | toJson) | replace "$INOTRAIL_LOKI_TENANT" (toJson $.Values.loki.tenant) | replace "$INOTRAIL_PROMETHEUS_URL" (toJson $.Values.grafana.prometheusUrl) | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* A ConfigMap's data: alerts. */}}
{{- define "inotrail.alerting" -}}
{{- range include "inotrail.provisioning" (list . "alerting") | splitList "," }}
inotrail-{{ base . }}: |
  {{- $.Files.Get . | trim | nindent 2 }}
{{- end }}
{{- end }}
