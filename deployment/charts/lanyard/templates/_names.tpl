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

{{/* The parts of the release that run, each with a name, labels and pods of its own: the provider of every node,
     the controller that writes Secrets, and the webhook that changes pods. What is said of a part takes (list $ PART). */}}
{{- define "lanyard.parts" -}}
provider{{ if .Values.sync.enabled }} sync{{ end }}{{ if .Values.inject.enabled }} inject{{ end }}
{{- end -}}

{{/* The name of a part's objects. */}}
{{- define "lanyard.partName" -}}
{{- $fullname := include "lanyard.fullname" (first .) -}}
{{- if eq (last .) "provider" -}}
{{- $fullname -}}
{{- else -}}
{{- printf "%s-%s" ($fullname | trunc 58 | trimSuffix "-") (last .) -}}
{{- end -}}
{{- end -}}

{{/* The labels by which a part's pods are selected. They can never change. */}}
{{- define "lanyard.partSelector" -}}
{{- $name := include "lanyard.name" (first .) -}}
app.kubernetes.io/name: {{ eq (last .) "provider" | ternary $name (printf "%s-%s" ($name | trunc 58 | trimSuffix "-") (last .)) }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
{{- end -}}

{{- define "lanyard.partLabels" -}}
{{- $ := first . -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "lanyard.partSelector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ last . }}
app.kubernetes.io/part-of: lanyard
app.kubernetes.io/managed-by: {{ $.Release.Service }}
{{- with $.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lanyard.selectorLabels" -}}{{ include "lanyard.partSelector" (list . "provider") }}{{- end -}}

{{- define "lanyard.labels" -}}{{ include "lanyard.partLabels" (list . "provider") }}{{- end -}}

{{/* The files that the configuration names, for any part: Secrets and ConfigMaps of the release's namespace. */}}
{{- define "lanyard.fileMounts" -}}
{{- range $i, $name := .Values.secrets }}
- {name: secret-{{ $i }}, mountPath: /etc/lanyard/secrets/{{ $name }}, readOnly: true}
{{- end }}
{{- range $i, $name := .Values.configMaps }}
- {name: files-{{ $i }}, mountPath: /etc/lanyard/files/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "lanyard.fileVolumes" -}}
{{- range $i, $name := .Values.secrets }}
- name: secret-{{ $i }}
  secret: {secretName: {{ $name }}, defaultMode: 0400}
{{- end }}
{{- range $i, $name := .Values.configMaps }}
- name: files-{{ $i }}
  configMap: {name: {{ $name }}}
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

{{/* The configuration of a part: the operator's, with what the chart itself says. The controller has no directory of a
     node, so no stores that are one. */}}
{{- define "lanyard.config" -}}
{{- $ := first . -}}
{{- $config := deepCopy $.Values.config -}}
{{- with include "lanyard.versionKeySecret" $ -}}
{{- $_ := set $config "cache" (merge (dict "versionKeySecret" .) (get $config "cache" | default dict)) -}}
{{- end -}}
{{- if eq (last .) "sync" -}}
{{- $config = mergeOverwrite $config (deepCopy $.Values.sync.config) -}}
{{- range $name, $store := (get $config "stores" | default dict) -}}
{{- if eq $store.type "file" -}}
{{- $_ := unset $config.stores $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* "true" if the provider needs a token for the API server. */}}
{{- define "lanyard.usesAPIServer" -}}
{{- if or (include "lanyard.tokenRequest" .) (include "lanyard.readObjects" .) (include "lanyard.versionKeySecret" .) .Values.status.enabled -}}true{{- else -}}false{{- end -}}
{{- end -}}

{{/* The rules with which a process has the API server check who asks for its status. */}}
{{- define "lanyard.statusRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{/* "true" if the provider may ask the API server for tokens, else nothing. */}}
{{- define "lanyard.tokenRequest" -}}
{{- if dig "policy" "tokenRequest" false .Values.config -}}true{{- end -}}
{{- end -}}

{{/* "true" if the provider may read service accounts and nodes, else nothing. */}}
{{- define "lanyard.readObjects" -}}
{{- if dig "policy" "readObjects" false .Values.config -}}true{{- end -}}
{{- end -}}
