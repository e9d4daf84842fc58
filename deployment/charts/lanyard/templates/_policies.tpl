{{/* What admission policies of any part share. Their helpers take (list $ PART POLICY); POLICY is empty where a part has
     one alone. */}}

{{/* The name, which must be one of DNS. */}}
{{- define "lanyard.policyName" -}}
{{- $name := list (include "lanyard.partName" (list (first .) (index . 1))) (index . 2) | compact | join "-" -}}
{{- printf "%s.%s" $name (first .).Release.Namespace -}}
{{- end -}}

{{- define "lanyard.policyHead" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "lanyard.policyName" . }}
  labels:
    {{- include "lanyard.partLabels" (list (first .) (index . 1)) | nindent 4 }}
spec:
  failurePolicy: Fail
{{- end -}}

{{/* (list $ PART POLICY ACTIONS), the actions with commas between them. */}}
{{- define "lanyard.policyBinding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "lanyard.policyName" . }}
  labels:
    {{- include "lanyard.partLabels" (list (first .) (index . 1)) | nindent 4 }}
spec:
  policyName: {{ include "lanyard.policyName" . }}
  validationActions: [{{ last . }}]
{{- end -}}

{{/* A list of CEL of texts that hold no quotation marks. */}}
{{- define "lanyard.celList" -}}
[{{ range $i, $text := . }}{{ if $i }}, {{ end }}{{ squote $text }}{{ end }}]
{{- end -}}
