<?php
// Net_Sieve as Roundcube's managesieve plugin uses it.  Arguments: port, CA file, user, password.
// Prints one line for each step; exit status 1 at the first thing that is not as it should be.
require_once 'Net/Sieve.php';
error_reporting(E_ALL & ~E_DEPRECATED & ~E_STRICT & ~E_NOTICE);

function fail($what, $why)
{
    fwrite(STDERR, "$what: " . (is_a($why, 'PEAR_Error') ? $why->getMessage() : var_export($why, true)) . "\n");
    exit(1);
}

function want($what, $got, $wanted)
{
    if (is_a($got, 'PEAR_Error') || $got !== $wanted) {
        fail($what, $got);
    }
    echo "$what\n";
}

function want_error($what, $got, $part)
{
    if (!is_a($got, 'PEAR_Error') || stripos($got->getMessage(), $part) === false) {
        fail($what, $got);
    }
    echo "$what\n";
}

[, $port, $ca, $user, $password] = $argv;
$options = ['ssl' => ['verify_peer' => true, 'verify_peer_name' => true, 'cafile' => $ca, 'peer_name' => 'localhost']];
$rules = "require [\"fileinto\"];\r\n# rule:[Lists]\r\nif header :contains \"list-id\" \"sanger\"\r\n{\r\n"
    . "\tfileinto \"Lists\";\r\n}\r\n# \"quoted\" und Gr\xc3\xbc\xc3\x9fe\r\n";

$sieve = new Net_Sieve();
want('connect', $sieve->connect('localhost', $port, $options, true), true);
want('mechanisms', in_array('PLAIN', $sieve->getAuthMechs()), true);
want_error('a wrong password', $sieve->login($user, 'wrong-Pw', null, '', false), 'wrong');
$sieve->disconnect();

foreach (['PLAIN', 'LOGIN', null] as $mechanism) {
    $sieve = new Net_Sieve();
    $sieve->connect('localhost', $port, $options, true);
    want('login ' . ($mechanism ?? 'by choice'), $sieve->login($user, $password, $mechanism, '', false), true);
    if ($mechanism !== null) {
        want('logout', $sieve->disconnect(), true);
    }
}
want('extension', $sieve->hasExtension('fileinto'), true);
want('no such extension', $sieve->hasExtension('teleport'), false);
want('no scripts', $sieve->listScripts(), []);
want('space', $sieve->haveSpace('roundcube', strlen($rules)), true);
want_error('no space', $sieve->haveSpace('roundcube', 100000000), 'large');
want('put', $sieve->installScript('roundcube', $rules), true);
want('not active', $sieve->getActive(), null);
want('put and activate', $sieve->installScript('roundcube', $rules, true), true);
want('active', $sieve->getActive(), 'roundcube');
want('get', rtrim($sieve->getScript('roundcube')), rtrim($rules));
want_error('a bad one', $sieve->installScript('bad', "keep;\r\nfly away;\r\n"), 'line 2');
want('a name with quotes', $sieve->installScript('my "best" \\ rules', "keep;\r\n"), true);
want('list', $sieve->listScripts($active), ['my "best" \\ rules', 'roundcube']);
want('the active one in the list', $active, 'roundcube');
want_error('the active one stays', $sieve->removeScript('roundcube'), 'active');
want('remove', $sieve->removeScript('my "best" \\ rules'), true);
want('none active', $sieve->setActive(''), true);
want('remove the last', $sieve->removeScript('roundcube'), true);
want('nothing left', $sieve->listScripts(), []);
want('end', $sieve->disconnect(), true);
