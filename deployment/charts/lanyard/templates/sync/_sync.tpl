{{- define "lanyard.sync.serviceAccountName" -}}
{{- if .Values.sync.serviceAccount.create -}}
{{- default (include "lanyard.partName" (list . "sync")) .Values.sync.serviceAccount.name -}}
{{- else -}}
{{- required "sync.serviceAccount.name: name the service account that sync.serviceAccount.create=false does not make" .Values.sync.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What the controller writes with, in the cluster or in each of some namespaces. */}}
{{- define "lanyard.sync.writes" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end -}}

{{- define "lanyard.sync.subject" -}}
- kind: ServiceAccount
  name: {{ include "lanyard.sync.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The name by which the API server knows the controller. */}}
{{- define "lanyard.sync.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "lanyard.sync.serviceAccountName" .) -}}
{{- end -}}

{{- define "lanyard.sync.policyOfController" -}}
matchConditions:
  - name: the-controller
    expression: request.userInfo.username == {{ include "lanyard.sync.user" . | squote }}
{{- end -}}

{{- define "lanyard.sync.policyHead" -}}{{ include "lanyard.policyHead" (list (first .) "sync" (last .)) }}{{- end -}}

{{- define "lanyard.sync.policyBinding" -}}{{ include "lanyard.policyBinding" (list (first .) "sync" (last .) "Deny") }}{{- end -}}
