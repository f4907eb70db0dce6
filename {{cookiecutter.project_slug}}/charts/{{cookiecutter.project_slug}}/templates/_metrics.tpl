{{/*
The port of the metrics, which must differ from that of the service and be reachable.
*/}}
{{- define "app.metrics.port" -}}
{{- $bind := (include "app.settings" . | fromJson).FASTAPI_METRICS_BIND }}
{{- $port := $bind | regexFind "[0-9]+$" }}
{{- if or (not $port) (regexMatch "^(127\\.|localhost:|\\[::1\\])" $bind) }}
{{- fail "metrics.enabled needs an address in config.FASTAPI_METRICS_BIND that other pods can reach." }}
{{- end }}
{{- if eq $port (include "app.port" .) }}
{{- fail "config.FASTAPI_METRICS_BIND must have a different port than config.FASTAPI_BIND." }}
{{- end }}
{{- $port }}
{{- end }}

{{/*
Whether a part of `metrics` is enabled; fails if `metrics` itself is not. Takes the context
and the name of the part.
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
The job of the metrics, which the operator of Prometheus names after the PodMonitor. It is
unique to this release, even if names share a prefix.
*/}}
{{- define "app.metrics.job" -}}
{{ .Release.Namespace }}/{{ include "app.fullname" . }}
{{- end }}

{{/*
All labels of a resource, including those of a part of `metrics`, which take precedence. Takes
the context, the component and the name of the part.
*/}}
{{- define "app.metrics.labels" -}}
{{- $context := index . 0 }}
{{- $own := (index $context.Values.metrics (index . 2)).labels | default dict }}
{{- mergeOverwrite (include "app.labels" (list $context (index . 1)) | fromYaml) $own | toYaml }}
{{- end }}

{{/*
The NetworkPolicy rule that allows metrics to be collected. Takes the context and the port.
*/}}
{{- define "app.metrics.rule" -}}
- ports:
    - port: {{ index . 1 }}
  {{- with dig "networkPolicy" "from" list (index . 0).Values.metrics }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
