{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "contour.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "contour.image" -}}
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "contour.namespaceEnv" -}}
- name: CONTOUR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}

{{- define "contour.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "contour.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What a pod template of contour or Envoy has in common: (dict "root" $ "values" .Values.contour) */}}
{{- define "contour.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
The objects of a file of deploy/, which name the namespace projectcontour, in the namespace of the release. Cluster roles get
the namespace in their name: there may be several releases. (dict "root" $ "file" "files/…" "annotations" (dict))
*/}}
{{- define "contour.objects" -}}
{{- $root := .root }}
{{- $annotations := .annotations }}
{{- range splitList "\n---\n" ($root.Files.Get .file) }}
{{- $object := fromYaml . }}
{{- $metadata := $object.metadata }}
{{- $_ := set $metadata "labels" (merge (dict) (include "contour.labels" $root | fromYaml) ($metadata.labels | default dict)) }}
{{- with $annotations }}{{- $_ := set $metadata "annotations" . }}{{- end }}
{{- if hasPrefix "ClusterRole" $object.kind }}
{{- $_ := set $metadata "name" (printf "%s-%s" $metadata.name $root.Release.Namespace) }}
{{- else }}
{{- $_ := set $metadata "namespace" $root.Release.Namespace }}
{{- end }}
{{- range $object.subjects }}{{- $_ := set . "namespace" $root.Release.Namespace }}{{- end }}
{{- if eq $object.kind "ClusterRoleBinding" }}
{{- $_ := set $object.roleRef "name" (printf "%s-%s" $object.roleRef.name $root.Release.Namespace) }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}

{{/* The pods of certgen */}}
{{- define "contour.certgenTemplate" -}}
template:
  metadata:
    labels:
      app.kubernetes.io/name: contour-certgen
  spec:
    serviceAccountName: contour-certgen
    automountServiceAccountToken: true
    restartPolicy: Never
    {{- include "contour.scheduling" (dict "root" $ "values" .Values.contour) | nindent 4 }}
    securityContext:
      {{- omit (include "contour.podSecurity" . | fromYaml) "fsGroup" | toYaml | nindent 6 }}
    containers:
      - name: contour
        {{- include "contour.image" . | nindent 8 }}
        command: [contour]
        args: [certgen, --incluster, --kube, --rotate, --keep-ca-key]
        env:
          {{- include "contour.namespaceEnv" . | nindent 10 }}
        resources:
          requests:
            cpu: 50m
            memory: 32Mi
        securityContext:
          {{- include "contour.containerSecurity" . | nindent 10 }}
{{- end }}
