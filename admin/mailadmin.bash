# Completion of mailadmin(1) for bash.  The program itself says what may follow, so a new command or option needs
# nothing here: `mailadmin --complete LINE` prints the word that is being typed and then the candidates for it.

_mailadmin() {
	local said word head current=${COMP_WORDS[COMP_CWORD]}

	COMPREPLY=()
	mapfile -t said < <("$1" --complete "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
	# readline replaces only what stands behind the last of its COMP_WORDBREAKS, as the = of --quota=2G; an @ goes along.
	[[ $current != [=:] ]] || current=
	head=
	[[ ${said[0]} != *"$current" ]] || head=${said[0]%"$current"}
	head=${head%@}
	for word in "${said[@]:1}"; do
		case $word in
		:files) compopt -o default ;;
		:directories) compopt -o dirnames ;;
		*)
			word=${word#"$head"}
			[[ $current == [\"\']* ]] || printf -v word %q "$word"
			COMPREPLY+=("$word")
			;;
		esac
	done
}
complete -o nosort -F _mailadmin mailadmin
