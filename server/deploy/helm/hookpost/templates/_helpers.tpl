{{- define "hookpost.selector" -}}
app.kubernetes.io/name: hookpost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
