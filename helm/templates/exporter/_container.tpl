{{/* A container of the exporter's program: [root, image, capabilities]. */}}
{{- define "inotrail.exporterContainer" -}}
{{- $root := index . 0 -}}
{{- $exporter := $root.Values.exporter -}}
{{- $capabilities := index . 2 -}}
image: {{ index . 1 }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  # Sockets of the runtime and folders of the node are root's.
  runAsUser: 0
  runAsGroup: 0
  # What asks for SYS_ADMIN may not be without it.
  allowPrivilegeEscalation: {{ has "SYS_ADMIN" $capabilities }}
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- with $capabilities }}
    add: {{ toJson . }}
    {{- end }}
  seccompProfile:
    {{- toYaml $exporter.seccompProfile | nindent 4 }}
  appArmorProfile:
    {{- toYaml $exporter.appArmorProfile | nindent 4 }}
  {{- with $exporter.seLinuxOptions }}
  seLinuxOptions:
    {{- toYaml . | nindent 4 }}
  {{- end }}
resources:
  {{- toYaml $exporter.resources | nindent 2 }}
{{- end }}

{{/* Arguments of `inotrail oci-hook`, as JSON: [root, what]. */}}
{{- define "inotrail.hookArgs" -}}
{{- $hook := (index . 0).Values.exporter.hook -}}
{{- $args := list "oci-hook" (index . 1) "--root" "/host" "--hooks-dir" $hook.hooksDir "--bin-dir" $hook.binDir -}}
{{- if eq (index . 1) "install" -}}
{{- $args = concat $args (list "--socket" (printf "%s/oci-hook.sock" $hook.socketDir)) -}}
{{- end -}}
{{- toJson $args -}}
{{- end }}

{{- define "inotrail.hookMounts" -}}
# Only these two folders of the node.
- {name: hooks, mountPath: /host{{ .Values.exporter.hook.hooksDir }}}
- {name: hook-program, mountPath: /host{{ .Values.exporter.hook.binDir }}}
{{- end }}

{{- define "inotrail.volumes" -}}
{{- $exporter := .Values.exporter -}}
{{- $name := include "inotrail.fullname" . -}}
- name: config
  configMap: {name: {{ $name }}}
{{- if include "inotrail.policies" . | trim }}
- name: policies
  configMap: {name: {{ $name }}-policies}
{{- end }}
{{- range $key, $secret := include "inotrail.secrets" . | fromYaml }}
- name: secret-{{ $key }}
  secret: {secretName: {{ $secret }}, defaultMode: 0400}
{{- end }}
- name: state
{{- if eq $exporter.state.type "hostPath" }}
  hostPath: {path: {{ $exporter.state.path }}, type: DirectoryOrCreate}
{{- else }}
  emptyDir: {}
{{- end }}
- name: cgroup
  hostPath: {path: /sys/fs/cgroup, type: Directory}
{{- if or $exporter.pin.enabled .Values.cleanup.enabled }}
- name: bpf
  hostPath: {path: {{ $exporter.pin.path }}, type: Directory}
{{- end }}
{{- if ne $exporter.runtime.name "none" }}
- name: runtime
  hostPath: {path: {{ dir $exporter.runtime.socket }}, type: Directory}
{{- end }}
{{- if $exporter.nri.enabled }}
- name: nri
  hostPath: {path: {{ dir $exporter.nri.socket }}, type: Directory}
{{- end }}
{{- if $exporter.hook.enabled }}
- name: hooks
  hostPath: {path: {{ $exporter.hook.hooksDir }}, type: DirectoryOrCreate}
- name: hook-program
  hostPath: {path: {{ $exporter.hook.binDir }}, type: DirectoryOrCreate}
- name: hook-socket
  hostPath: {path: {{ $exporter.hook.socketDir }}, type: DirectoryOrCreate}
{{- end }}
{{- with $exporter.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
