{{/*
Shorten a name to a maximum length. A shortened name ends with a part of its checksum, so
that different long names stay different. Takes the name and the length.
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
The name of every resource, or its prefix. The name of a Service has no dot, begins with a
letter and has at most 63 characters; "-test" is appended to it.
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
The labels that select the pods of one component; they never change. Takes the context and
the component.
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
The merged content of all files in settings/ with an extension, as JSON; they are templates.
Takes the context and the extension:

yaml   settings of the service
env    other variables: a `value`, or the `secret` that holds it, its `key`, and a `checksum`
       of the content if Helm can know it. A value can refer to a variable that precedes it
       alphabetically.
files  folders in /run: the `secret` and the `key` of the only file in it
*/}}
{{- define "app.parts" -}}
{{- $context := index . 0 }}
{{- $parts := dict }}
{{- range $path, $_ := $context.Files.Glob (printf "settings/*.%s" (index . 1)) }}
{{- $parts = tpl ($context.Files.Get $path) $context | fromYaml | mergeOverwrite $parts }}
{{- end }}
{{- toJson $parts }}
{{- end }}

{{/*
The settings of the service as strings, in JSON; `config` takes precedence.
*/}}
{{- define "app.settings" -}}
{{- $settings := mergeOverwrite (include "app.parts" (list . "yaml") | fromJson) .Values.config }}
{{- range $name, $value := $settings }}
{{- if kindIs "invalid" $value }}
{{- $_ := unset $settings $name }}
{{- else if not (kindIs "string" $value) }}
{{- /* toJson writes 1000000 in full; templates would write 1e+06. */}}
{{- $_ := set $settings $name (toJson $value) }}
{{- end }}
{{- end }}
{{- toJson $settings }}
{{- end }}

{{/*
Whether there is a cluster to look up, unlike in `helm template` and Argo CD. A namespace that
does not exist yet has no ConfigMap.
*/}}
{{- define "app.cluster" -}}
{{- if or (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt") (lookup "v1" "Namespace" "" "default") -}}
true
{{- end }}
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
The common part of all pods of the image. They have no rights in the cluster, and no
variables for the Services in the namespace, which Kubernetes would add.
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
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
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

{{/*
The variables, and the mounts of `app.volumes`, of a container that runs the service's code.
*/}}
{{- define "app.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "app.fullname" . | quote }}
  {{- with .Values.existingSecret }}
  - secretRef:
      name: {{ . | quote }}
  {{- end }}
  {{- if .Values.secrets }}
  - secretRef:
      name: {{ include "app.fullname" . | quote }}
  {{- end }}
{{- with include "app.parts" (list . "env") | fromJson }}
env:
  {{- range $name, $source := . }}
  - name: {{ $name }}
    {{- if $source.secret }}
    valueFrom:
      secretKeyRef:
        name: {{ $source.secret | quote }}
        key: {{ $source.key }}
    {{- else }}
    value: {{ $source.value | quote }}
    {{- end }}
  {{- end }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- range $name, $_ := include "app.parts" (list . "files") | fromJson }}
  - name: {{ $name }}
    mountPath: /run/{{ $name }}
    readOnly: true
  {{- end }}
{{- end }}

{{- define "app.volumes" -}}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.tmpSizeLimit | quote }}
  {{- range $name, $source := include "app.parts" (list . "files") | fromJson }}
  - name: {{ $name }}
    secret:
      secretName: {{ $source.secret | quote }}
      items:
        - key: {{ $source.key }}
          path: {{ $source.key }}
  {{- end }}
{{- end }}
