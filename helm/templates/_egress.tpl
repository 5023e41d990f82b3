{{- define "inotrail.dnsEgress" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* The port of an address, wherever that is: a policy knows no names. Files and stdout have none. */}}
{{- define "inotrail.urlEgress" -}}
{{- if not (or (hasPrefix "file:" .) (hasPrefix "stdout:" .)) -}}
{{- $url := ternary . (printf "https://%s" .) (contains "://" .) | urlParse -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
- ports:
    - {port: {{ default (ternary "443" "80" (eq $url.scheme "https")) $port }}}
{{- end -}}
{{- end }}

{{- define "inotrail.lokiEgress" -}}
{{- if .Values.loki.enabled -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "inotrail.selector" (list . "loki") | nindent 10 }}
  ports:
    - {port: http}
{{- else -}}
{{- include "inotrail.urlEgress" (include "inotrail.lokiUrl" .) -}}
{{- end -}}
{{- end }}
