/** `lookout completion`: what a shell has to know to complete what is typed: commands, options, and the names of apps. */
import { Misuse } from '../errors.js'
import { instances } from '../instances.js'
import { TABLE } from '../option-table.js'

const USAGE = 'Usage: lookout completion bash|zsh|fish'

const HELP = `${USAGE}

Prints what has the shell complete commands, options and the names of apps. To have it in each new shell:
  bash: lookout completion bash > ~/.local/share/bash-completion/completions/lookout
  zsh:  echo 'source <(lookout completion zsh)' >> ~/.zshrc
  fish: lookout completion fish > ~/.config/fish/completions/lookout.fish`

/** Each with what it does; and whether it takes the name of an app. */
const COMMANDS: Record<string, [help: string, takesName?: true]> = {
  completion: ['complete these words in a shell'],
  logs: ['what apps have said', true],
  ls: ['the apps that are held'],
  metrics: ['what is known of them, for Prometheus'],
  reload: ['have the configuration read again'],
  rest: ['put an app to rest', true],
  restart: ["replace an app's workers one by one", true],
  status: ['why an app is awake, rests or fails', true],
  stop: ['end a lookout'],
  top: ['the apps that are held, live'],
  unit: ['systemd units of an app'],
  up: ['hold all apps of a configuration'],
  wake: ['wake an app', true],
}

/** @throws Misuse */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [shell, ...more] = args
  if (shell === '--help') return console.log(HELP)
  if (more.length > 0) throw new Misuse(USAGE.replace('Usage', 'usage'))
  if (shell === '--names') return console.log(namesOf(env).join('\n')) // what the scripts below ask
  if (shell === 'fish') return console.log(fish())
  if (shell === 'bash' || shell === 'zsh') return console.log(bash())
  throw new Misuse(USAGE.replace('Usage', 'usage'))
}

function namesOf(env: NodeJS.ProcessEnv): string[] {
  return instances(env).flatMap(({ apps }) => apps.map(({ config }) => config.name))
}

/** The long flags of `lookout`. */
function flags(): { long: string; help: string; takes: boolean }[] {
  return Object.values(TABLE).map(({ flags, help }) => ({
    long: /--([\w-]+)/.exec(flags)![1]!,
    help,
    takes: flags.includes('<'),
  }))
}

function namedCommands(): string[] {
  return Object.entries(COMMANDS).flatMap(([name, [, takesName]]) => (takesName ? [name] : []))
}

/** zsh takes it, too, by its own emulation. */
function bash(): string {
  return `if [ -n "$ZSH_VERSION" ]; then
  autoload -U +X compinit bashcompinit
  command -v compdef >/dev/null || compinit
  bashcompinit
fi
_lookout() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=
  case "\${COMP_WORDS[1]}" in
    ${namedCommands().join('|')}) [ "$COMP_CWORD" -gt 1 ] && words=$(lookout completion --names 2>/dev/null) ;;
    completion) [ "$COMP_CWORD" -gt 1 ] && words='bash zsh fish' ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words='${Object.keys(COMMANDS).join(' ')}'; fi
  case "$word" in -*) words='${flags()
    .map(({ long }) => `--${long}`)
    .join(' ')} --help --version' ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _lookout lookout`
}

function fish(): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`
  const commands = Object.entries(COMMANDS).map(
    ([name, [help]]) => `complete -c lookout -n __fish_use_subcommand -a ${name} -d ${quoted(help)}`,
  )
  const options = flags().map(
    ({ long, help, takes }) => `complete -c lookout -l ${long}${takes ? ' -r' : ''} -d ${quoted(help)}`,
  )
  const seen = (names: string[]) => quoted(`__fish_seen_subcommand_from ${names.join(' ')}`)
  return [
    ...commands,
    ...options,
    `complete -c lookout -f -n ${seen(namedCommands())} -a '(lookout completion --names 2>/dev/null)'`,
    `complete -c lookout -f -n ${seen(['completion'])} -a 'bash zsh fish'`,
  ].join('\n')
}
