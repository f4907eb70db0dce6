{{/*
A name of at most so many characters: a longer one ends with a part of its checksum, so
that two long names stay two. Takes the name and the number.
*/}}
{{- define "app.shortened" -}}
{{- $name := index . 0 }}
{{- $most := index . 1 }}
{{- if gt (len $name) $most }}
{{- $name = printf "%s-%s" ($name | trunc (int (sub $most 9)) | trimSuffix "-") ($name | sha256sum | trunc 8) }}
{{- end }}
{{- $name }}
{{- end }}

{{/*
The name of every resource, or its beginning. Names of Services hold no dot, begin with a
letter and have at most 63 characters; "-test" is appended to it.
*/}}
{{- define "app.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name }}
{{- if not (or .Values.fullnameOverride (contains .Chart.Name $name)) }}
{{- $name = printf "%s-%s" $name .Chart.Name }}
{{- end }}
{{- $name = regexReplaceAll "^([0-9])" ($name | replace "." "-") "r${1}" }}
{{- include "app.shortened" (list $name 58) }}
{{- end }}

{{/*
The labels that tell the pods of one component from all others; they never change. Takes
the context and the component.
*/}}
{{- define "app.selector" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: {{ $context.Chart.Name | quote }}
app.kubernetes.io/instance: {{ $context.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
All labels of a resource. Takes the context and the component.
*/}}
{{- define "app.labels" -}}
{{- $context := index . 0 -}}
{{ include "app.selector" . }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | trunc 63 | trimSuffix "." | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "." | quote }}
{{- end }}

{{/*
The settings of the service and their text, as JSON. Files in settings/ compute what
follows from other values; what `config` says wins.
*/}}
{{- define "app.settings" -}}
{{- $settings := dict }}
{{- range $path, $_ := .Files.Glob "settings/*.yaml" }}
{{- $settings = tpl ($.Files.Get $path) $ | fromYaml | mergeOverwrite $settings }}
{{- end }}
{{- $settings = mergeOverwrite $settings .Values.config }}
{{- range $name, $value := $settings }}
{{- if kindIs "invalid" $value }}
{{- $_ := unset $settings $name }}
{{- else if not (kindIs "string" $value) }}
{{- /* JSON writes numbers as people do; templates write 1000000 as 1e+06. */}}
{{- $_ := set $settings $name (toJson $value) }}
{{- end }}
{{- end }}
{{- toJson $settings }}
{{- end }}

{{/*
Whether a cluster answers: not to `helm template`, nor to Argo CD. In a namespace that is yet
to be made, nothing is found.
*/}}
{{- define "app.cluster" -}}
{{- if or (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt") (lookup "v1" "Namespace" "" "default") -}}
true
{{- end }}
{{- end }}

{{/*
Variables of the service that are in the Secret of another part, as JSON: its name, the key,
and a checksum of the text where that is known. Files in settings/ say which.
*/}}
{{- define "app.secretVariables" -}}
{{- $variables := dict }}
{{- range $path, $_ := .Files.Glob "settings/*.secret" }}
{{- $variables = tpl ($.Files.Get $path) $ | fromYaml | mergeOverwrite $variables }}
{{- end }}
{{- toJson $variables }}
{{- end }}

{{- define "app.port" -}}
{{ .Values.config.FASTAPI_BIND | regexFind "[0-9]+$" }}
{{- end }}

{{- define "app.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- define "app.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (ternary (include "app.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/*
What every pod of the image has: no rights, and nothing of the cluster in its environment,
where Kubernetes would put variables that are named after the Services around it.
*/}}
{{- define "app.pod" -}}
serviceAccountName: {{ include "app.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  {{- with .Values.podSecurityContext }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "app.container" -}}
image: {{ include "app.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
{{- end }}
