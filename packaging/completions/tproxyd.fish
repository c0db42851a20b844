# SPDX-License-Identifier: GPL-2.0-or-later
# Completions of tproxyd for fish: the program is asked for its verbs, and a verb for its options.

function __tproxyd_verbs
	tproxyd --help 2>/dev/null | string replace -rf '^  ([a-z-]+) +(.*)$' '$1\t$2'
	printf '%s\n' --help --version
end

# Options, those with a choice of words once for each word; and the words that stand alone.
function __tproxyd_options
	set -l verb (commandline -opc)[2]
	for line in (tproxyd $verb --help 2>/dev/null)
		if set -l option (string match -r '^  (--[\w-]+=)([a-z0-9-]+(?:\|[a-z0-9-]+)+)$' -- $line)
			printf "$option[2]%s\n" (string split '|' -- $option[3])
		else if set -l option (string match -r '^  (--[\w-]+=?)' -- $line)
			echo $option[2]
		else if set -l choice (string match -r '^Usage: .*\] ([a-z|-]+)$' -- $line)
			string split '|' -- $choice[2]
		end
	end
end

complete -c tproxyd -n __fish_use_subcommand -f -a '(__tproxyd_verbs)'
complete -c tproxyd -n 'not __fish_use_subcommand' -a '(__tproxyd_options)'
