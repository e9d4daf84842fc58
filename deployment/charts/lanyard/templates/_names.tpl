{{- define "lanyard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lanyard.fullname" -}}
{{- $name := include "lanyard.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What does not belong to a namespace may meet another release's of the same name. */}}
{{- define "lanyard.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "lanyard.fullname" .) -}}
{{- end -}}

{{- define "lanyard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lanyard.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the service account that serviceAccount.create=false does not make" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The labels by which pods are selected. They can never change. */}}
{{- define "lanyard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lanyard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lanyard.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "lanyard.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: provider
app.kubernetes.io/part-of: lanyard
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lanyard.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The name of the Secret with the key of versions; nothing if none is used. */}}
{{- define "lanyard.versionKeySecret" -}}
{{- $named := dig "cache" "versionKeySecret" "" .Values.config -}}
{{- if $named -}}
{{- $named -}}
{{- else if and (not (dig "cache" "versionKeyFile" "" .Values.config)) (or .Values.versionKey.create .Values.versionKey.secret) -}}
{{- default (printf "%s-version-key" (include "lanyard.fullname" .)) .Values.versionKey.secret -}}
{{- end -}}
{{- end -}}

{{/* The operator's configuration, with what the chart itself says. */}}
{{- define "lanyard.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- with include "lanyard.versionKeySecret" . -}}
{{- $_ := set $config "cache" (merge (dict "versionKeySecret" .) (get $config "cache" | default dict)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* "true" if the provider needs a token for the API server. */}}
{{- define "lanyard.usesAPIServer" -}}
{{- if or (include "lanyard.tokenRequest" .) (include "lanyard.readObjects" .) (include "lanyard.versionKeySecret" .) -}}true{{- else -}}false{{- end -}}
{{- end -}}

{{/* "true" if the provider may ask the API server for tokens, else nothing. */}}
{{- define "lanyard.tokenRequest" -}}
{{- if dig "policy" "tokenRequest" false .Values.config -}}true{{- end -}}
{{- end -}}

{{/* "true" if the provider may read service accounts and nodes, else nothing. */}}
{{- define "lanyard.readObjects" -}}
{{- if dig "policy" "readObjects" false .Values.config -}}true{{- end -}}
{{- end -}}
