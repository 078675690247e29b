{{/* The name of everything: that of the release. */}}
{{- define "tetcore-analytics.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "tetcore-analytics.selector" -}}
app.kubernetes.io/name: tetcore-analytics
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tetcore-analytics.labels" -}}
{{ include "tetcore-analytics.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "tetcore-analytics.secret" -}}
{{- .Values.existingSecret | default (include "tetcore-analytics.name" .) -}}
{{- end -}}

{{- define "tetcore-analytics.image" -}}
{{- $repository := required "image.repository is required: where the image of the Dockerfile was pushed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* SPOOL_MAX_BYTES, and a fifth for what the file system takes for itself, in whole GiB. */}}
{{- define "tetcore-analytics.storage" -}}
{{- $spool := .Values.settings.SPOOL_MAX_BYTES | int64 -}}
{{- $bytes := div (mul $spool 6) 5 -}}
{{- .Values.persistence.size | default (printf "%dGi" (add 1 (div $bytes 1073741824))) -}}
{{- end -}}

{{/*
MiB: 20 KiB for each of CONNECTIONS_MAX and as many others, 20 kB for each of FEED_CONNECTIONS_MAX, four
times QUEUE_BYTES_MAX (the queue, parts of messages, heads of requests, batches on their way), and
512 MiB for answers, the live table and what the measure leaves out.
*/}}
{{- define "tetcore-analytics.memory" -}}
{{- $connections := mul 40960 (.Values.settings.CONNECTIONS_MAX | int64) -}}
{{- $feed := mul 20000 (.Values.settings.FEED_CONNECTIONS_MAX | int64) -}}
{{- $queue := mul 4 (.Values.settings.QUEUE_BYTES_MAX | int64) -}}
{{- add 512 (div (add $connections $feed $queue) 1048576) -}}
{{- end -}}

{{/* The wait of preStop, the time to store what was read, and 10 s to end. */}}
{{- define "tetcore-analytics.grace" -}}
{{- add (.Values.drainSeconds | int64) (.Values.settings.SHUTDOWN_TIMEOUT_S | int64) 10 -}}
{{- end -}}
