{{- define "lanyard.inject.serviceAccountName" -}}
{{- if .Values.inject.serviceAccount.create -}}
{{- default (include "lanyard.partName" (list . "inject")) .Values.inject.serviceAccount.name -}}
{{- else -}}
{{- required "inject.serviceAccount.name: name the service account that inject.serviceAccount.create=false does not make" .Values.inject.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The name of the webhook configuration, which does not belong to a namespace. */}}
{{- define "lanyard.inject.webhookName" -}}
{{- printf "%s.%s" (include "lanyard.partName" (list . "inject")) .Release.Namespace -}}
{{- end -}}

{{/* The Secret with the certificate: the replicas' own, or cert-manager's. */}}
{{- define "lanyard.inject.secretName" -}}
{{- include "lanyard.partName" (list . "inject") -}}
{{- end -}}

{{/* All containers of a pod, as CEL. */}}
{{- define "lanyard.inject.containers" -}}
(object.spec.?initContainers.orValue([]) + object.spec.containers)
{{- end -}}

{{/* Whether the text of a variable begins with the word and a colon, as CEL: whether it sorts between the two, for the
     cost of startsWith grows with the text, but that of a comparison with the shorter side alone. */}}
{{- define "lanyard.inject.begins" -}}
'{{ . }}:' <= e.value && e.value < '{{ . }};'
{{- end -}}

{{/* What of a pod asks for secrets, as CEL. A pod for which it is false is none of the webhook's business, whether the
     webhook runs or not. API servers bound what an expression costs, and refuse the pod above that: a regular expression
     costs 29 times what contains does, so there is none.
     https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints */}}
{{- define "lanyard.inject.asks" -}}
!(object.metadata.?annotations[?'lanyard.dev/inject'].orValue('') in ['', 'false', 'none'])
{{- if has "vault-agent" .Values.inject.dialects }} ||
!(object.metadata.?annotations[?'vault.hashicorp.com/agent-inject'].orValue('false') in ['0', 'f', 'F', 'false', 'FALSE', 'False']) &&
(object.metadata.?annotations[?'vault.hashicorp.com/agent-inject-status'].orValue('') != 'injected' ||
object.metadata.?annotations[?'lanyard.dev/injected'].orValue('').contains('vault-agent'))
{{- end }}
{{- if has "bank-vaults" .Values.inject.dialects }} ||
object.metadata.?annotations[?'vault.security.banzaicloud.io/mutate'].orValue('') != 'skip' &&
object.metadata.?annotations[?'secrets-webhook.security.bank-vaults.io/mutate'].orValue('') != 'skip' &&
({{ include "lanyard.inject.containers" $ }}.exists(c, c.?env.orValue([]).exists(e, has(e.value) && e.value.contains(':') && (
e.value.contains('vault:') && ({{ include "lanyard.inject.begins" "vault" }} || {{ include "lanyard.inject.begins" ">>vault" }} || {{ include "lanyard.inject.begins" "azure:keyvault" }} ||
e.value.contains('${') && (e.value.contains('${vault:') || e.value.contains('>vault:'))) ||
e.value.contains('bao:') && ({{ include "lanyard.inject.begins" "bao" }} || {{ include "lanyard.inject.begins" ">>bao" }} ||
e.value.contains('${') && (e.value.contains('${bao:') || e.value.contains('>bao:'))) ||
{{ include "lanyard.inject.begins" "arn:aws" }} && ({{ include "lanyard.inject.begins" "arn:aws:secretsmanager" }} || {{ include "lanyard.inject.begins" "arn:aws:ssm" }}) ||
{{ include "lanyard.inject.begins" "gcp:secretmanager" }}))) ||
object.metadata.?annotations.orValue({}).exists(k, k.startsWith('vault.security.banzaicloud.io/') ||
k.startsWith('secrets-webhook.security.bank-vaults.io/')) &&
{{ include "lanyard.inject.containers" $ }}.exists(c, size(c.?envFrom.orValue([])) > 0 || c.?env.orValue([]).exists(e,
has(e.valueFrom) && (has(e.valueFrom.configMapKeyRef) || has(e.valueFrom.secretKeyRef)))))
{{- end }}
{{- end -}}

{{/* One webhook: (dict "root" $ "name" NAME "path" PATH "asks" CEL "labels" LABELS). */}}
{{- define "lanyard.inject.webhook" -}}
{{- $ := .root -}}
- name: {{ .name }}
  admissionReviewVersions: [v1]
  clientConfig:
    service:
      name: {{ include "lanyard.partName" (list $ "inject") }}
      namespace: {{ $.Release.Namespace }}
      path: {{ .path }}
      port: 443
  rules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
  # A pod that asks for secrets does not start without them; any other is not asked about.
  failurePolicy: Fail
  matchConditions:
    - name: asks-for-secrets
      expression: >-
        {{- .asks | nindent 8 }}
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: {{ prepend $.Values.inject.exemptNamespaces $.Release.Namespace | uniq | toJson }}
      {{- with .labels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  # Containers that other webhooks add later may want secrets too.
  reinvocationPolicy: IfNeeded
  sideEffects: None
  matchPolicy: Equivalent
  timeoutSeconds: {{ $.Values.inject.timeoutSeconds }}
{{- end -}}
