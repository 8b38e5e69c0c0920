# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bhavd_global_optspecs
    string join \n h/help V/version
end

function __fish_bhavd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bhavd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bhavd_using_subcommand
    set -l cmd (__fish_bhavd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bhavd -n "__fish_bhavd_needs_command" -s h -l help -d 'Print help'
complete -c bhavd -n "__fish_bhavd_needs_command" -s V -l version -d 'Print version'
complete -c bhavd -n "__fish_bhavd_needs_command" -f -a "run" -d 'Run the daemon in the foreground, as a service does'
complete -c bhavd -n "__fish_bhavd_needs_command" -f -a "check-config" -d 'Check a configuration file and say everything that is wrong with it'
complete -c bhavd -n "__fish_bhavd_needs_command" -f -a "demo" -d 'Play a day of the market through a simulated provider and record it, in a directory of its own'
complete -c bhavd -n "__fish_bhavd_using_subcommand run" -l config -d 'The configuration file' -r -F
complete -c bhavd -n "__fish_bhavd_using_subcommand run" -s h -l help -d 'Print help'
complete -c bhavd -n "__fish_bhavd_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l recording -d 'A recorded day (CSV, plain or .gz, see docs/recording-format.md); a synthetic one if not given' -r -F
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l provider -d 'Whose protocol is spoken between simulator and daemon: angel_one or nse' -r
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l speed -d 'Simulated seconds in a real one' -r
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l data-dir -d 'Where store, log and control socket are kept; must be empty or not exist. A directory under the system\'s temporary one if not given' -r -F
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l store -d 'postgres://… or sqlite:PATH; DIR/bhavd.sqlite if not given' -r
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l seed -d 'The seed of the synthetic market' -r
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l strict -d 'Refuse a recording with a row that cannot be read, instead of leaving the row out'
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l exit-at-close -d 'End once the day has been played; else Ctrl-C ends the demo'
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -l json -d 'Print the summary as one JSON object, and no progress'
complete -c bhavd -n "__fish_bhavd_using_subcommand demo" -s h -l help -d 'Print help'
