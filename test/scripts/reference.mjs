/** `npm run reference`: writes the tables of docs/configuration.md anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { prepare, root } from '../../src/main/prepare.mjs'

prepare()
const { settingsReference } = await import('../../dist/settings/reference.js')
const path = join(root, 'docs', 'configuration.md')
const [before] = readFileSync(path, 'utf8').split('<!-- settings -->')
const text = `${before}<!-- settings -->\n\n${settingsReference()}`
writeFileSync(path, await format(text, { ...(await resolveConfig(path)), parser: 'markdown' }))
