/**
 * What of the gateway's own environment its kernels get: all but what is known to be a secret, or what a list names.
 *
 * Whatever a kernelspec or a client sets is given besides.
 */

import type { Environment } from '../config.js'

/** Of the gateway, or of what stands around it: no kernel gets these, whatever is named. */
const NEVER = ['SAVEPOINT_TOKEN', 'SAVEPOINT_CONFIG', 'SAVEPOINT_ZYGOTE', 'SAVEPOINT_LINK_TOKEN', 'SAVEPOINT_AUTH_*']

/** Left out unless they are named. */
export const SECRETS: readonly string[] = [
  ...['JUPYTER_TOKEN', 'JUPYTER_GATEWAY_AUTH_TOKEN', 'JUPYTERHUB_API_TOKEN', 'JPY_API_TOKEN', 'CONFIGPROXY_AUTH_TOKEN'],
  ...['KG_AUTH_TOKEN', 'EG_AUTH_TOKEN', 'OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'],
  ...['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_SECURITY_TOKEN'],
  ...['AWS_CONTAINER_*', 'AWS_WEB_IDENTITY_TOKEN_FILE'],
  ...['AZURE_CLIENT_SECRET', 'AZURE_CLIENT_CERTIFICATE_*', 'AZURE_PASSWORD', 'AZURE_STORAGE_KEY'],
  ...['AZURE_STORAGE_CONNECTION_STRING', 'AZURE_STORAGE_SAS_TOKEN', 'AZURE_FEDERATED_TOKEN_FILE'],
  ...['GOOGLE_APPLICATION_CREDENTIALS', 'GOOGLE_CREDENTIALS', 'GOOGLE_OAUTH_ACCESS_TOKEN', 'GCLOUD_KEYFILE_JSON'],
  ...['DIGITALOCEAN_ACCESS_TOKEN', 'HCLOUD_TOKEN', 'CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_API_KEY', 'VAULT_TOKEN'],
  ...['GITHUB_TOKEN', 'GH_TOKEN', 'GITLAB_TOKEN', 'CI_JOB_TOKEN', 'NPM_TOKEN', 'NODE_AUTH_TOKEN', 'TWINE_PASSWORD'],
  ...['DATABASE_URL', 'PGPASSWORD', 'MYSQL_PWD', 'REDIS_URL', 'KUBECONFIG', 'DOCKER_AUTH_CONFIG'],
  ...['SSH_AUTH_SOCK', 'CREDENTIALS_DIRECTORY'],
]

/** Without these nothing works, or looks as it should. */
const NEEDED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_*', 'TZ', 'PYTHONPATH', 'TERM']

/** `named`: names, and beginnings such as `APP_*`; empty: all but secrets. */
export function inheritedEnvironment(env: Environment, named: readonly string[]): Environment {
  const isLetIn = (name: string): boolean =>
    !NEVER.some(fits(name)) && (named.length === 0 ? !SECRETS.some(fits(name)) : [...NEEDED, ...named].some(fits(name)))
  return Object.fromEntries(Object.entries(env).filter(([name]) => isLetIn(name)))
}

function fits(name: string): (pattern: string) => boolean {
  return (pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern)
}
