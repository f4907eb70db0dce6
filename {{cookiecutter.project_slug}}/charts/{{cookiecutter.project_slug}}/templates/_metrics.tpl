{{/*
The port of the metrics, which the service must not have and others must reach.
*/}}
{{- define "app.metrics.port" -}}
{{- $bind := (include "app.settings" . | fromJson).FASTAPI_METRICS_BIND }}
{{- $port := $bind | regexFind "[0-9]+$" }}
{{- if or (not $port) (regexMatch "^(127\\.|localhost:|\\[::1\\])" $bind) }}
{{- fail "metrics.enabled needs an address in config.FASTAPI_METRICS_BIND that other pods reach." }}
{{- end }}
{{- if eq $port (include "app.port" .) }}
{{- fail "config.FASTAPI_METRICS_BIND must have another port than config.FASTAPI_BIND." }}
{{- end }}
{{- $port }}
{{- end }}

{{/*
Whether a part of `metrics` is on; refused where what it needs is off. Takes the context and
the names of the part and of what it needs.
*/}}
{{- define "app.metrics.on" -}}
{{- $context := index . 0 }}
{{- $part := index . 1 }}
{{- if (index $context.Values.metrics $part).enabled }}
{{- if not $context.Values.metrics.enabled }}
{{- fail (printf "metrics.%s.enabled needs metrics.enabled: without it the service has no metrics." $part) }}
{{- end -}}
true
{{- end }}
{{- end }}

{{/*
The job of the metrics, which the operator of Prometheus names after the PodMonitor. No other
release has it, whatever their names begin with.
*/}}
{{- define "app.metrics.job" -}}
{{ .Release.Namespace }}/{{ include "app.fullname" . }}
{{- end }}

{{/*
All labels of a resource, those of a part of `metrics` among them, which win. Takes the
context, the component and the name of the part.
*/}}
{{- define "app.metrics.labels" -}}
{{- $context := index . 0 }}
{{- $own := (index $context.Values.metrics (index . 2)).labels | default dict }}
{{- mergeOverwrite (include "app.labels" (list $context (index . 1)) | fromYaml) $own | toYaml }}
{{- end }}

{{/*
The rule of a NetworkPolicy that lets the metrics be collected. Takes the context and the port.
*/}}
{{- define "app.metrics.rule" -}}
- ports:
    - port: {{ index . 1 }}
  {{- with dig "networkPolicy" "from" list (index . 0).Values.metrics }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
