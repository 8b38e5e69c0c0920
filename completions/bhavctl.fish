# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bhavctl_global_optspecs
    string join \n socket= json timeout= h/help V/version
end

function __fish_bhavctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bhavctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bhavctl_using_subcommand
    set -l cmd (__fish_bhavctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bhavctl -n "__fish_bhavctl_needs_command" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_needs_command" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_needs_command" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -s V -l version -d 'Print version'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "status" -d 'The daemon on one page'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "actors" -d 'The actors, their queues and their restarts'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "feeds" -d 'The connections to providers'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "chain" -d 'An option chain'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "oi" -d 'A contract\'s open interest through a day: bhavctl oi NIFTY 2026-02-03 25000 CE'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "explain" -d 'Why a bucket\'s row states what it does: bhavctl explain NIFTY 2026-02-03 25000 CE --at 10:42'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "deltas" -d 'Changes of open interest, newest first'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "candles" -d 'Candles of an index or share'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "coverage" -d 'How complete a day is'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "watch" -d 'What happens, as it happens'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "replay" -d 'The log of what was received'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "feed" -d 'One feed: what it does, and whether it may'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "failover" -d 'Choose which provider\'s values count; holds until the next choice, over restarts as well'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "jobs" -d 'The scheduled jobs: what they do, what became of their runs, and having one run'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "config" -d 'The configuration: what runs, what the file says, and the way from one to the other'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "loglevel" -d 'What the daemon logs; with a filter, logs more or less until it ends'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "drain" -d 'End the daemon in order: feeds first, then everything that was accepted is written'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "wait" -d 'Wait until something holds; exits with 5 if --timeout passes before'
complete -c bhavctl -n "__fish_bhavctl_needs_command" -f -a "bugreport" -d 'Gather what a report of a problem needs, without secrets'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand status" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand status" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand status" -l check -d 'Exit with 6 unless the daemon is healthy'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand status" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand actors" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand actors" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand actors" -l tree -d 'Draw the tree of supervisors, with everything that is known of each actor'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand actors" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand actors" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feeds" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feeds" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feeds" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feeds" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l expiry -d 'The expiry, YYYY-MM-DD [default: the nearest]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l at -d 'The chain as it stood then: HH:MM[:SS] or "YYYY-MM-DD HH:MM[:SS]", IST [default: live]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l strikes -d 'Only this many strikes on each side of the money' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand chain" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand oi" -l date -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand oi" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand oi" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand oi" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand oi" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -l at -d 'The bucket that contains this time: HH:MM[:SS] or "YYYY-MM-DD HH:MM[:SS]", IST, or an RFC 3339 instant [default: the last one that is over]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -l date -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l underlying -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l contract -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l date -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l limit -d 'Rows at most, 1 to 10000' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand deltas" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -l interval -d '3m, 5m or day' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -l date -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand candles" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand coverage" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand coverage" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand coverage" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand coverage" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand watch" -l underlying -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand watch" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand watch" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand watch" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand watch" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -f -a "verify" -d 'Run a day\'s log again and compare with the store; exits with 1 if they differ'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and not __fish_seen_subcommand_from verify rejudge" -f -a "rejudge" -d 'Print what today\'s rules would make of a day that is over; changes nothing, neither in the store nor in the log'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from verify" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from verify" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from verify" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from rejudge" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from rejudge" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from rejudge" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand replay; and __fish_seen_subcommand_from rejudge" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -f -a "show" -d 'The feed\'s counters, its actor and its settings'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -f -a "enable" -d 'Let the feed run, also if the configuration does not; until the daemon is restarted'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -f -a "disable" -d 'Stop the feed until it is enabled again or the daemon is restarted'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and not __fish_seen_subcommand_from show enable disable reconnect" -f -a "reconnect" -d 'Drop the feed\'s connections and sessions and begin anew'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from show" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from show" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from enable" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from enable" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from enable" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from disable" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from disable" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from disable" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from reconnect" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from reconnect" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from reconnect" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand feed; and __fish_seen_subcommand_from reconnect" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand failover" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand failover" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand failover" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand failover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -f -a "list" -d 'Each job, when it is due and how its last run ended; also without a command'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -f -a "history" -d 'The last runs, the last first'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and not __fish_seen_subcommand_from list history run" -f -a "run" -d 'Have a job run at once, whether or not it is due; does not wait for its end'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from list" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from list" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from list" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -l job -r -f -a "day_plan\t''
archive\t''
retention\t''
verify\t''"
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -l limit -d 'Rows at most, 1 to 10000' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from run" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from run" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from run" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand jobs; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -f -a "show" -d 'Every key that runs, with its value and what a change of it takes'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -f -a "check" -d 'Say everything that is wrong with a file; exits with 1 if anything is'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -f -a "diff" -d 'What the daemon\'s file says otherwise than what runs'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and not __fish_seen_subcommand_from show check diff reload" -f -a "reload" -d 'Read the daemon\'s file again and apply what can be applied; exits with 1 if it is refused'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from check" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from diff" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from diff" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from diff" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from reload" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from reload" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from reload" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand config; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand loglevel" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand loglevel" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand loglevel" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand loglevel" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand drain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand drain" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand drain" -l no-wait -d 'Do not wait for its end'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand drain" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand wait" -l for -d 'ready, drained, feed=NAME or feed=any' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand wait" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand wait" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand wait" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand wait" -s h -l help -d 'Print help'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand bugreport" -s o -l output -d 'Where to write it [default: standard output]' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand bugreport" -l socket -d 'The daemon\'s control socket' -r -F
complete -c bhavctl -n "__fish_bhavctl_using_subcommand bugreport" -l timeout -d 'Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]' -r
complete -c bhavctl -n "__fish_bhavctl_using_subcommand bugreport" -l json -d 'Print the answer as one JSON object (watch: one a line)'
complete -c bhavctl -n "__fish_bhavctl_using_subcommand bugreport" -s h -l help -d 'Print help'
